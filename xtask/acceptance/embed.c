/* A program that embeds Python: embed SCRIPT [ARGUMENT…] runs the script as python would. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

static const char run[] =
    "import os, runpy, sys\n"
    "sys.path.insert(0, os.path.dirname(sys.argv[0]))\n"
    "runpy.run_path(sys.argv[0], run_name='__main__')\n";

int main(int argc, char **argv)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    PyStatus status = PyConfig_SetBytesArgv(&config, argc - 1, argv + 1);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    int failed = PyRun_SimpleString(run);
    return Py_FinalizeEx() < 0 || failed;
}
