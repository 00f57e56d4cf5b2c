"""Ctrl-C and SIGTERM, kept out of the few calls that share locks with other threads."""

import signal
import threading

ENDING = {signal.SIGINT, signal.SIGTERM}


class SignalsHeld:
    """As a context: a handler's exception is raised when the context ends, not inside.

    Python runs handlers in the main thread between any two steps, between the taking of a lock and
    its release too. An executor's own threads would wait for that lock for ever, and whoever joins
    them. A mask does not help: where this thread is masked, the system hands the signal to another
    one, such as one of the arithmetic library's, and Python runs the handler here all the same.
    A second signal does not wait.
    """

    def __enter__(self):
        self.received, self.handlers = [], {}
        if threading.current_thread() is threading.main_thread():  # no other may, or need
            for number in ENDING:
                handler = signal.getsignal(number)
                held = isinstance(getattr(handler, "__self__", None), SignalsHeld)
                if callable(handler) and not held:  # neither ignored nor left to the system
                    self.handlers[number] = handler
                    signal.signal(number, self._receive)
        return self

    def __exit__(self, *exc):
        self._release()
        if self.received:
            signal.raise_signal(self.received[0])

    def _receive(self, number, frame):
        if self.received:
            self._release()
            self.handlers[number](number, frame)
        else:
            self.received.append(number)

    def _release(self):
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
