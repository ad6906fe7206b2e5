from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.endpoint.batching import Batcher


def test_what_waits_is_shared_and_bounded_and_errors_are_one_s_own() -> None:
    opened = threading.Event()
    batches: list[list[int]] = []

    def work(batch: Sequence[int]) -> list[int | Exception]:
        opened.wait(60)
        batches.append(list(batch))
        return [ValueError(str(asked)) if asked == 13 else asked * 2 for asked in batch]

    async def run() -> list[int | BaseException]:
        batcher: Batcher[int, int] = Batcher([work], 8)
        assert batcher.capacity == 8
        asked = [asyncio.ensure_future(batcher.ask(number)) for number in range(20)]
        await asyncio.sleep(0.05)
        opened.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        await batcher.close()
        return answers

    answers = asyncio.run(run())
    assert [number for number in range(20) if isinstance(answers[number], ValueError)] == [13]
    assert [answer for answer in answers if isinstance(answer, int)] == [
        number * 2 for number in range(20) if number != 13
    ]
    assert sorted(number for batch in batches for number in batch) == list(range(20))
    assert max(map(len, batches)) == 8


def test_a_thread_leaves_the_others_their_share() -> None:
    sizes: list[int] = []
    both = threading.Barrier(2)

    def work(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        if len(sizes) <= 2:
            both.wait(60)
        return list(batch)

    async def run() -> None:
        batcher: Batcher[int, int] = Batcher([work, work], 8)
        await asyncio.gather(*(batcher.ask(number) for number in range(8)))
        await batcher.close()

    asyncio.run(run())
    # Whoever comes first takes half at most of what is there.
    assert max(sizes[:2]) <= 4


def test_what_was_given_up_is_not_worked_on() -> None:
    opened = threading.Event()
    seen: list[int] = []

    def work(batch: Sequence[int]) -> list[int]:
        opened.wait(60)
        seen.extend(batch)
        return list(batch)

    async def run() -> None:
        batcher: Batcher[int, int] = Batcher([work], 1)
        asked = [asyncio.ensure_future(batcher.ask(number)) for number in range(5)]
        await asyncio.sleep(0.05)
        for number in (1, 3):
            asked[number].cancel()
        await asyncio.sleep(0)
        opened.set()
        await asyncio.gather(*asked, return_exceptions=True)
        await batcher.close()

    asyncio.run(run())
    assert seen == [0, 2, 4]


def test_closing_answers_everything_that_was_asked() -> None:
    async def run() -> list[int]:
        batcher: Batcher[int, int] = Batcher([list, list, list], 2)
        asked = [asyncio.ensure_future(batcher.ask(number)) for number in range(50)]
        await asyncio.sleep(0)
        await batcher.close()
        return await asyncio.gather(*asked)

    assert asyncio.run(run()) == list(range(50))


def test_a_work_that_raises_answers_all_of_its_batch() -> None:
    def work(_: Sequence[int]) -> list[int]:
        raise RuntimeError("no memory")

    async def run() -> None:
        batcher: Batcher[int, int] = Batcher([work], 4)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="no memory"):
                await batcher.ask(1)
        await batcher.close()

    asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(
    threads=st.integers(1, 4),
    largest=st.integers(1, 9),
    asked=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40),
)
def test_every_request_gets_its_own_answer_once(
    threads: int, largest: int, asked: list[tuple[int, bool]]
) -> None:
    def work(batch: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        assert 0 < len(batch) <= largest
        return list(batch)

    async def run() -> None:
        batcher: Batcher[tuple[int, int], tuple[int, int]] = Batcher([work] * threads, largest)
        futures = []
        for number, (pauses, given_up) in enumerate(asked):
            for _ in range(pauses):
                await asyncio.sleep(0)
            futures.append(asyncio.ensure_future(batcher.ask((number, pauses))))
            if given_up:
                futures[-1].cancel()
        answers = await asyncio.gather(*futures, return_exceptions=True)
        await batcher.close()
        for number, ((pauses, given_up), answer) in enumerate(zip(asked, answers, strict=True)):
            assert given_up or answer == (number, pauses)

    asyncio.run(run())
