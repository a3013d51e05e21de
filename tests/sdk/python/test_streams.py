"""Streams: their pieces, their usage, their errors, and readers that leave."""

import asyncio
import unittest

import openai
from gateway import BACKENDS, BASE_URL, QUESTION, GatewayTest, control, on_backends, script, wait_for_count


class Streams(GatewayTest):
    @on_backends()
    def test_the_pieces_make_up_the_answer(self, backend, model):
        script(text="하나 둘 셋 four five")
        whole = self.client.chat.completions.create(model=model, messages=QUESTION).choices[0].message.content
        chunks = list(self.client.chat.completions.create(model=model, messages=QUESTION, stream=True))
        pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
        self.assertEqual("".join(pieces), whole)
        self.assertGreater(len(pieces), 3)
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")
        # Nobody asked for usage, so that no chunk is without a choice.
        self.assertTrue(all(chunk.choices and chunk.usage is None for chunk in chunks), backend)

    @on_backends()
    def test_usage_comes_last_where_it_is_asked_for(self, _, model):
        stream = self.client.chat.completions.create(
            model=model, messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        *_, last = stream
        self.assertEqual(last.choices, [])
        self.assertGreater(last.usage.total_tokens, 0)

    def test_a_piece_is_read_while_the_next_is_not_yet_made(self):
        script(gate=True)
        control("POST", "/gate?n=2")  # the role and one piece
        stream = self.client.chat.completions.create(model="mock-model", messages=QUESTION, stream=True)
        text = ""
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            if text:
                break
        self.assertEqual(text, "word0 ")
        control("POST", "/gate?n=100")
        text += "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        self.assertEqual(text, "word0 word1 word2 word3 ")

    @on_backends("openai", "ollama")
    def test_an_error_in_mid_stream_is_raised_after_what_came_before_it(self, _, model):
        for fault in ("error_event", "reset_mid_stream", "close_mid_stream", "cut_mid_stream", "half_event"):
            with self.subTest(fault=fault):
                script(text="one two three four", fault=fault, at=3)
                text = ""
                with self.assertRaises(openai.APIError) as raised:
                    for chunk in self.client.chat.completions.create(model=model, messages=QUESTION, stream=True):
                        text += chunk.choices[0].delta.content or ""
                self.assertIn("one two", text)
                # An error that the gateway tells, not a connection that breaks.
                self.assertNotIsInstance(raised.exception, openai.APIConnectionError)
                self.assertTrue(raised.exception.message and raised.exception.code)

    @on_backends("openai", "ollama")
    def test_a_reader_that_leaves_closes_the_upstream(self, _, model):
        script(chunks=2000, interval=5)
        aborted = control("GET", "/counts")["aborted"]
        with self.client.chat.completions.create(model=model, messages=QUESTION, stream=True) as stream:
            for _ in zip(range(3), stream):
                pass
        wait_for_count("aborted", aborted + 1)


class AsyncClient(unittest.IsolatedAsyncioTestCase, GatewayTest):
    async def asyncSetUp(self):
        self.asynchronous = openai.AsyncOpenAI(base_url=BASE_URL, api_key="application-key", max_retries=0)
        self.addAsyncCleanup(self.asynchronous.close)

    def create(self, model, **options):
        return self.asynchronous.chat.completions.create(model=model, messages=QUESTION, **options)

    async def test_many_calls_at_once_keep_their_answers(self):
        numbers = range(20)
        answers = await asyncio.gather(
            *(
                self.asynchronous.chat.completions.create(
                    model="rehearsal", messages=[{"role": "user", "content": f"number {number}."}]
                )
                for number in numbers
            )
        )
        for number, answer in zip(numbers, answers):
            self.assertIn(f"number {number}.", answer.choices[0].message.content)

    async def test_streams(self):
        for backend, model in BACKENDS.items():
            with self.subTest(backend=backend):
                text = ""
                async for chunk in await self.create(model, stream=True):
                    text += chunk.choices[0].delta.content or ""
                self.assertTrue(text)

    async def test_errors(self):
        script(status=429)
        with self.assertRaises(openai.RateLimitError):
            await self.create("mock-model")
        script(fault="error_event", at=2)
        with self.assertRaises(openai.APIError):
            async for _ in await self.create("mock-model", stream=True):
                pass

    async def test_a_cancelled_task_closes_the_upstream(self):
        script(chunks=2000, interval=5)
        aborted = control("GET", "/counts")["aborted"]
        begun = asyncio.Event()

        async def read():
            async for _ in await self.create("mock-model", stream=True):
                begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait_for_count, "aborted", aborted + 1)

    async def test_a_cancelled_call_closes_the_upstream_before_its_head(self):
        script(fault="stall_before_head")
        aborted = control("GET", "/counts")["aborted"]
        task = asyncio.create_task(self.create("mock-model"))
        await asyncio.to_thread(wait_for_count, "in_flight", 1)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(wait_for_count, "aborted", aborted + 1)
