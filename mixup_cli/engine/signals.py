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
    A second one waits too, lest a finger's tremble do what this is against; a third does not.
    """

    def __enter__(self):
        self.received, self.handlers, self.holding = [], {}, False
        if threading.current_thread() is threading.main_thread():  # no other may, or need
            for number in ENDING:
                handler = signal.getsignal(number)
                outer = getattr(handler, "__self__", None)
                held = isinstance(outer, SignalsHeld) and outer.holding
                if callable(handler) and not held:  # neither ignored nor left to the system
                    self.handlers[number] = handler
                    signal.signal(number, self._receive)
        self.holding = True
        return self

    def __exit__(self, *exc):
        self._release()
        if self.received:
            signal.raise_signal(self.received[0])

    def _receive(self, number, frame):
        if self.holding and len(self.received) < 2:
            self.received.append(number)
        else:
            self._release()
            self.handlers[number](number, frame)

    def _release(self):
        self.holding = False  # one that could not be restored, by a signal just then, passes signals on
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
