"""Work beside requests: in order, bounded, and nobody waits for it."""

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ct_guard.aside import Aside


def test_what_is_put_is_done_in_order_on_another_thread() -> None:
    done: list[tuple[int, str]] = []
    aside = Aside[int](
        lambda taken: done.extend((one, threading.current_thread().name) for one in taken),
        name="beside",
    )
    assert all(aside.put([at]) for at in range(100))
    assert aside.flush(10)
    assert done == [(at, "beside") for at in range(100)]


def test_more_than_may_wait_is_refused_whole() -> None:
    go = threading.Event()
    done: list[int] = []

    def work(taken: list[int]) -> None:
        go.wait(10)
        done.extend(taken)

    aside = Aside[int](work, name="beside", max_waiting=3)
    assert not aside.put([1, 2, 3, 4])
    assert aside.put([1, 2, 3])
    go.set()
    assert aside.flush(10)
    assert done == [1, 2, 3]


def test_work_that_fails_is_logged_by_its_kind_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[int] = []

    def work(taken: list[int]) -> None:
        if 0 in taken:
            raise ValueError("a secret")
        done.extend(taken)

    aside = Aside[int](work, name="beside")
    with caplog.at_level(logging.WARNING):
        assert aside.put([0])
        assert aside.flush(10)
    assert aside.put([1])
    assert aside.flush(10)
    assert done == [1]
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_closed_it_takes_no_more() -> None:
    aside = Aside[int](lambda taken: None, name="beside")
    aside.close(10)
    assert not aside.put([1])


def test_the_end_of_a_process_waits_for_what_was_put() -> None:
    told = (
        "import sys, time\n"
        "from ct_guard.aside import Aside\n"
        "def work(taken): time.sleep(0.2); print(sum(taken), flush=True)\n"
        "aside = Aside(work, name='beside')\n"
        "aside.put([1, 2])\n"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"


def test_at_the_end_a_client_that_was_made_before_still_works() -> None:
    told = (
        "import atexit, time\n"
        "from ct_guard.aside import Aside\n"
        "client = []\n"
        "atexit.register(lambda: print('closed with', client))\n"
        "def work(taken): time.sleep(0.2); client.extend(taken)\n"
        "aside = Aside(work, name='beside')\n"
        "aside.put([1])\n"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "closed with [1]\n"


@pytest.mark.parametrize("end", [Aside.flush, Aside.close])
def test_work_that_waits_for_its_own_end_is_told_that_it_is_not_over(
    end: Callable[[Aside[int]], bool | None],
) -> None:
    said: list[bool | None] = []
    aside = Aside[int](lambda taken: said.append(end(aside)), name="beside")
    aside.put([1])
    assert aside.flush(10)
    assert said == [False if end is Aside.flush else None]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_begins_with_nothing_that_waits() -> None:
    told = (
        "import os, threading, time\n"
        "from ct_guard.aside import Aside\n"
        "go = threading.Event()\n"
        "def work(taken): go.wait(5); print(os.getpid() == parent, taken, flush=True)\n"
        "aside, parent = Aside(work, name='beside'), os.getpid()\n"
        "aside.put([1])\n"
        "child = os.fork()\n"
        "go.set()\n"
        "if child == 0:\n"
        "    aside.put([2]); aside.flush(5); os._exit(0)\n"
        "os.waitpid(child, 0); aside.flush(5)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", told], capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.splitlines()) == ["False [2]", "True [1]"]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_the_end_of_a_process_of_multiprocessing_waits_for_what_was_put(
    method: str, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, time\n"
        "from ct_guard.aside import Aside\n"
        "def work(taken): time.sleep(0.2); print(sum(taken), flush=True)\n"
        "aside = Aside(work, name='beside')\n"
        "def put(): aside.put([1, 2])\n"
        "if __name__ == '__main__':\n"
        "    aside.put([0]); aside.flush(10)\n"
        f"    child = multiprocessing.get_context('{method}').Process(target=put)\n"
        "    child.start(); child.join()\n"
    )
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n3\n"
