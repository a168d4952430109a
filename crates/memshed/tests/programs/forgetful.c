/* An extension that takes references: those that it forgets, and those that it remembers. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *remembered[1024];
static int count;

static PyObject *
forget(PyObject *self, PyObject *object)
{
    Py_INCREF(object);
    Py_RETURN_NONE;
}

static PyObject *
keep(PyObject *self, PyObject *object)
{
    if (count < 1024) {
        Py_INCREF(object);
        remembered[count++] = object;
    }
    Py_RETURN_NONE;
}

static PyObject *
recall(PyObject *self, PyObject *unused)
{
    PyObject *list = PyList_New(0);
    for (int i = 0; list != NULL && i < count; i++) {
        if (PyList_Append(list, remembered[i]) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyMethodDef methods[] = {
    {"forget", forget, METH_O, "Takes a reference and forgets it."},
    {"keep", keep, METH_O, "Takes a reference and remembers it."},
    {"recall", recall, METH_NOARGS, "The objects that it remembers."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "forgetful",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit_forgetful(void)
{
    return PyModule_Create(&definition);
}
