"""Pure: the commands for taskkill and tasklist, and how their output is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctree_kill._systems.windows import taskkill
from proctree_kill._systems.windows.taskkill import Answer

TOOL = r"C:\Windows\System32\taskkill.exe"
LISTS_IT = b'"node.exe","1234","ConsoleGroups","1","41.004 K"\r\n'
PAGES = ("cp437", "cp850", "cp866", "cp932", "cp936", "cp949", "cp950", "cp1252", "gb18030")


def test_tools_are_named_by_their_whole_path() -> None:
    assert taskkill.program(r"C:\Windows", "taskkill") == TOOL


def test_commands_name_each_process_and_never_its_children() -> None:
    numbers = ["/PID", "12", "/PID", "16"]
    assert taskkill.ask_to_close(TOOL, [12, 16]) == [TOOL, *numbers]
    assert taskkill.force(TOOL, [12, 16]) == [TOOL, "/F", *numbers]


def test_one_process_is_looked_up_as_a_row_without_a_header() -> None:
    command = ["tasklist", "/FI", "PID eq 12", "/FO", "CSV", "/NH"]
    assert taskkill.look_up("tasklist", 12) == command


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (0, Answer.DONE),
        (1, Answer.REFUSED),
        (128, Answer.NOT_FOUND),
        (255, Answer.FAILED),
        (0xC0000142, Answer.FAILED),  # it could not start: the user's session is ending
        (None, Answer.HUNG),
    ],
)
def test_exit_codes_are_answers(code: int | None, answer: Answer) -> None:
    assert taskkill.answer(code) is answer


def test_the_second_field_is_the_number() -> None:
    assert taskkill.lists(LISTS_IT, 1234)
    assert not taskkill.lists(LISTS_IT, 1)  # the session
    assert not taskkill.lists(LISTS_IT, 41)  # in the memory
    assert not taskkill.lists(LISTS_IT, 123)


def test_the_name_of_a_program_may_hold_commas_quotes_and_numbers() -> None:
    assert taskkill.lists(b'"a ""1"", 99.exe","1234","ConsoleGroups","1","8 K"\r\n', 1234)
    assert not taskkill.lists(b'"a, 99",b.exe","1234","ConsoleGroups","1","8 K"\r\n', 99)


@pytest.mark.parametrize(
    "sentence",
    [
        "INFO: No tasks are running which match the specified criteria.",
        "INFORMATION: Es werden keine Aufgaben mit den angegebenen Kriterien ausgeführt.",
        "INFORMATION : aucune tâche en service ne correspond aux critères spécifiés, 1234.",
        "ИНФОРМАЦИЯ: Задачи, отвечающие заданным критериям, отсутствуют.",
        "情報: 指定された条件に一致するタスクは実行されていません。",
        "信息: 没有运行的任务匹配指定标准。",
        '"Image Name","PID","Session Name","Session#","Mem Usage"',
        "",
    ],
)
def test_a_sentence_in_any_language_lists_no_process(sentence: str) -> None:
    for page in (*PAGES, "utf-8", "utf-16-le"):
        assert not taskkill.lists(sentence.encode(page, "replace"), 1234)


@pytest.mark.parametrize("page", [*PAGES, "utf-8", "utf-16-le"])
def test_a_row_is_read_in_any_code_page(page: str) -> None:
    row = '"ソ表é你好.exe","1234","Консоль","1","41 004 Ж"\r\n'
    assert taskkill.lists(row.encode(page, "replace"), 1234)


@given(st.binary())
def test_no_output_is_an_error(output: bytes) -> None:
    assert taskkill.lists(output, 1234) in (True, False)


@given(st.lists(st.integers(1, 2**32 - 1), max_size=2000))
def test_no_command_is_longer_than_windows_allows(pids: list[int]) -> None:
    found = list(taskkill.batches(pids))
    assert [pid for batch in found for pid in batch] == pids
    assert all(len(" ".join(taskkill.force(TOOL, batch))) < 32767 for batch in found)
