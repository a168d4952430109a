try:
    exec(code, {})
except Exception:
    raise
except BaseException as error:
    # The handler of a signal raised it (KeyboardInterrupt, SystemExit). It is raised again, with
    # what it carries, once this thread is back in the program, hence by another thread.
    def again(thread, kind, carried):
        import ctypes
        import time

        class Again(kind):
            def __init__(self, *_):
                super().__init__(*carried)

        for name in ("__name__", "__qualname__", "__module__"):
            setattr(Again, name, getattr(kind, name))
        time.sleep(0.05)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread), ctypes.py_object(Again)
        )

    import _thread

    _thread.start_new_thread(again, (_thread.get_ident(), type(error), error.args))
