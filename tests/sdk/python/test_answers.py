"""Calls that go well, on every kind of backend that serves them."""

import io
import json

from gateway import BACKENDS, QUESTION, WEATHER, GatewayTest, on_backends, requests, script
from pydantic import BaseModel


class City(BaseModel):
    name: str
    population: int
    districts: list[str]


CITY = {"name": "서울", "population": 9_400_000, "districts": ["종로구", "중구"]}


class Chat(GatewayTest):
    @on_backends()
    def test_an_answer_comes_whole(self, backend, model):
        script(text="안녕 from the mock")
        answer = self.client.chat.completions.create(model=model, messages=QUESTION)
        message = answer.choices[0].message
        expected = "안녕하세요" if backend == "rehearsal" else "안녕 from the mock"
        self.assertIn(expected, message.content)
        self.assertEqual(message.role, "assistant")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertGreater(answer.usage.total_tokens, 0)

    @on_backends()
    def test_the_answer_tells_its_request_id_and_who_gave_it(self, backend, model):
        raw = self.client.chat.completions.with_raw_response.create(
            model=model, messages=QUESTION, extra_headers={"x-request-id": f"sdk-{backend}"}
        )
        self.assertEqual(raw.parse()._request_id, f"sdk-{backend}")
        self.assertEqual(raw.headers["x-millgate-provider"], backend)
        self.assertEqual(raw.headers["x-millgate-attempts"], "1")

    def test_the_upstream_gets_the_gateways_key_and_the_clients_unknown_members(self):
        self.client.chat.completions.create(
            model="mock-model", messages=QUESTION, temperature=0.5, extra_body={"made_up": {"a": [1, 2]}}
        )
        [request] = requests()
        headers = {name.lower(): value for name, value in request["headers"]}
        self.assertEqual(headers["authorization"], "Bearer upstream-key")
        self.assertNotIn("application-key", json.dumps(request))
        body = json.loads(request["body"])
        self.assertEqual(body["made_up"], {"a": [1, 2]})
        self.assertEqual(body["temperature"], 0.5)


class Tools(GatewayTest):
    @on_backends()
    def test_the_model_calls_a_tool_and_is_told_its_result(self, _, model):
        # Ollama has no tool_choice, so that its mock must be told to call.
        script(models={"ollama-model": [{"tool_calls": 1}, {"text": "19 degrees"}]})
        answer = self.client.chat.completions.create(
            model=model, messages=QUESTION, tools=[WEATHER], tool_choice="required"
        )
        choice = answer.choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        [call] = choice.message.tool_calls
        self.assertEqual(call.function.name, "get_weather")
        self.assertIsInstance(json.loads(call.function.arguments)["place"], str)
        self.assertTrue(call.id)

        result = {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 19}'}
        final = self.client.chat.completions.create(
            model=model, messages=[*QUESTION, choice.message, result], tools=[WEATHER]
        )
        self.assertEqual(final.choices[0].finish_reason, "stop")
        self.assertTrue(final.choices[0].message.content)

    @on_backends("openai", "ollama")
    def test_a_tools_result_reaches_the_upstream_under_the_calls_name(self, backend, model):
        script(models={"ollama-model": [{"tool_calls": 1}, {}], "mock-model": [{"tool_calls": 1}, {}]})
        answer = self.client.chat.completions.create(model=model, messages=QUESTION, tools=[WEATHER])
        message = answer.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "19"}
        self.client.chat.completions.create(model=model, messages=[*QUESTION, message, result], tools=[WEATHER])
        _, asked, told = json.loads(requests()[-1]["body"])["messages"]
        function = asked["tool_calls"][0]["function"]
        arguments = function["arguments"]
        # Text for OpenAI, an object for Ollama.
        arguments = json.loads(arguments) if backend == "openai" else arguments
        self.assertEqual((function["name"], arguments), ("get_weather", {"place": "서울"}))
        self.assertEqual(told["content"], "19")
        if backend == "openai":
            self.assertEqual(told["tool_call_id"], message.tool_calls[0].id)
        else:
            self.assertEqual(told["tool_name"], "get_weather")

    @on_backends()
    def test_a_streamed_call_is_put_together(self, _, model):
        script(models={"ollama-model": {"tool_calls": 1}})
        with self.client.chat.completions.stream(
            model=model, messages=QUESTION, tools=[WEATHER], tool_choice="required"
        ) as stream:
            final = stream.get_final_completion()
        self.assertEqual(final.choices[0].finish_reason, "tool_calls")
        [call] = final.choices[0].message.tool_calls
        self.assertEqual(call.function.name, "get_weather")
        self.assertIsInstance(json.loads(call.function.arguments)["place"], str)

    @on_backends("openai", "ollama")
    def test_two_calls_at_once_stay_apart(self, _, model):
        script(models={"mock-model": {"tool_calls": 2}, "ollama-model": {"tool_calls": 2}})
        for streamed in (False, True):
            request = {"model": model, "messages": QUESTION, "tools": [WEATHER]}
            if streamed:
                with self.client.chat.completions.stream(**request) as stream:
                    answer = stream.get_final_completion()
            else:
                answer = self.client.chat.completions.create(**request)
            calls = answer.choices[0].message.tool_calls
            self.assertEqual(len({call.id for call in calls}), 2)
            for call in calls:
                self.assertEqual(json.loads(call.function.arguments), {"place": "서울"})


class StructuredOutput(GatewayTest):
    @on_backends()
    def test_an_answer_fits_the_pydantic_model(self, backend, model):
        script(text=json.dumps(CITY, ensure_ascii=False))
        answer = self.client.chat.completions.parse(model=model, messages=QUESTION, response_format=City)
        city = answer.choices[0].message.parsed
        self.assertIsInstance(city, City)
        if backend != "rehearsal":
            self.assertEqual(city.model_dump(), CITY)

    @on_backends("openai", "ollama")
    def test_the_schema_reaches_the_upstream(self, backend, model):
        script(text=json.dumps(CITY))
        self.client.chat.completions.parse(model=model, messages=QUESTION, response_format=City)
        body = json.loads(requests()[-1]["body"])
        schema = body["response_format"]["json_schema"]["schema"] if backend == "openai" else body["format"]
        self.assertEqual(set(schema["properties"]), set(CITY))

    @on_backends()
    def test_a_stream_fits_it_too(self, _, model):
        script(text=json.dumps(CITY, ensure_ascii=False), chunk_bytes=5)
        with self.client.chat.completions.stream(model=model, messages=QUESTION, response_format=City) as stream:
            final = stream.get_final_completion()
        self.assertIsInstance(final.choices[0].message.parsed, City)


class OtherEndpoints(GatewayTest):
    @on_backends()
    def test_embeddings_come_as_floats_though_the_sdk_asks_for_base64(self, backend, model):
        reply = self.client.embeddings.create(model=model, input=["하나", "two"])
        self.assertEqual([item.index for item in reply.data], [0, 1])
        for item in reply.data:
            self.assertTrue(item.embedding)
            self.assertTrue(all(isinstance(number, float) for number in item.embedding))
        plain = self.client.embeddings.create(model=model, input=["하나", "two"], encoding_format="float")
        for decoded, listed in zip(reply.data, plain.data):
            self.assertEqual(len(decoded.embedding), len(listed.embedding))
            for one, other in zip(decoded.embedding, listed.embedding):
                self.assertAlmostEqual(one, other, places=6)
        if backend == "openai":
            self.assertEqual(json.loads(requests()[0]["body"])["encoding_format"], "base64")

    @on_backends()
    def test_completions_whole_and_streamed(self, _, model):
        whole = self.client.completions.create(model=model, prompt="Once upon")
        self.assertTrue(whole.choices[0].text)
        self.assertEqual(whole.choices[0].finish_reason, "stop")
        streamed = self.client.completions.create(model=model, prompt="Once upon", stream=True)
        text = "".join(chunk.choices[0].text for chunk in streamed if chunk.choices)
        self.assertEqual(text, whole.choices[0].text)

    @on_backends()
    def test_responses_whole_and_streamed(self, backend, model):
        script(text="안녕 from the mock")
        whole = self.client.responses.create(model=model, input="안녕하세요", store=False)
        expected = "안녕하세요" if backend == "rehearsal" else "안녕 from the mock"
        self.assertIn(expected, whole.output_text)
        self.assertEqual(whole.status, "completed")
        text, last = "", None
        for last in self.client.responses.create(model=model, input="안녕하세요", store=False, stream=True):
            if last.type == "response.output_text.delta":
                text += last.delta
        self.assertEqual(last.type, "response.completed")
        self.assertEqual(text, last.response.output_text)
        self.assertIn(expected, text)

    @on_backends()
    def test_responses_call_tools_too(self, _, model):
        script(models={"mock-model": {"tool_calls": 1}, "ollama-model": {"tool_calls": 1}})
        tool = {"type": "function", "strict": False, **WEATHER["function"]}
        request = {"model": model, "input": "날씨?", "store": False, "tools": [tool], "tool_choice": "required"}
        whole = self.client.responses.create(**request)
        with self.client.responses.stream(**request) as stream:
            streamed = stream.get_final_response()
        for answer in (whole, streamed):
            [call] = [item for item in answer.output if item.type == "function_call"]
            self.assertEqual(call.name, "get_weather")
            self.assertIsInstance(json.loads(call.arguments)["place"], str)

    @on_backends()
    def test_responses_fit_a_pydantic_model(self, _, model):
        script(text=json.dumps(CITY, ensure_ascii=False))
        answer = self.client.responses.parse(model=model, input="A city", store=False, text_format=City)
        self.assertIsInstance(answer.output_parsed, City)

    @on_backends()
    def test_models_are_listed_and_retrieved(self, _, model):
        listed = {model.id: model for model in self.client.models.list()}
        self.assertIn(model, listed)
        self.assertEqual(self.client.models.retrieve(model), listed[model])

    def test_a_file_arrives_to_the_last_byte(self):
        content = "".join(f"{line}: 안녕하세요\n" for line in range(50_000))
        uploaded = self.client.files.create(file=("lines.txt", io.BytesIO(content.encode())), purpose="assistants")
        self.assertTrue(uploaded.id.startswith("file-mock-"))
        [request] = requests()
        headers = {name.lower(): value for name, value in request["headers"]}
        self.assertIn("multipart/form-data; boundary=", headers["content-type"])
        self.assertIn(content, request["body"])

    def test_speech_comes_as_bytes_whole_and_streamed(self):
        request = {"model": "mock-model", "voice": "alloy", "input": "안녕하세요"}
        expected = bytes(range(256)) * 16
        self.assertEqual(self.client.audio.speech.create(**request).content, expected)
        with self.client.audio.speech.with_streaming_response.create(**request) as reply:
            self.assertEqual(reply.headers["content-type"], "audio/mpeg")
            self.assertEqual(b"".join(reply.iter_bytes()), expected)


class Fallback(GatewayTest):
    """The same call, and an answer: that the first upstream is out of order shows in a header alone."""

    def test_a_dead_upstream_goes_unnoticed(self):
        for model in ("dead-first", "broken-first", "other-kind"):
            for fault in ({"fault": "reset_before_head"}, {"status": 503}, {"status": 401}, {"status": 404}):
                with self.subTest(model=model, **fault):
                    script(text="saved by the second", models={"mock-first": fault})
                    whole = self.client.chat.completions.with_raw_response.create(model=model, messages=QUESTION)
                    self.assertEqual(whole.headers["x-millgate-attempts"], "2")
                    self.assertEqual(whole.parse().choices[0].message.content, "saved by the second")
                    self.assertEqual(self.streamed(model), "saved by the second")

    def test_a_stream_that_breaks_before_its_content_goes_unnoticed(self):
        for fault in ("reset_mid_stream", "close_mid_stream", "cut_mid_stream", "half_event", "error_event", "garbage"):
            with self.subTest(fault=fault):
                script(text="saved by the second", models={"mock-first": {"fault": fault, "at": 1}})
                self.assertEqual(self.streamed("broken-first"), "saved by the second")
                self.assertEqual(self.streamed("other-kind"), "saved by the second")

    def test_an_answer_that_breaks_goes_unnoticed(self):
        for fault in ("wrong_length_long", "close_mid_stream", "garbage", "html_200"):
            with self.subTest(fault=fault):
                script(text="saved by the second", models={"mock-first": {"fault": fault}})
                answer = self.client.chat.completions.create(model="broken-first", messages=QUESTION)
                self.assertEqual(answer.choices[0].message.content, "saved by the second")

    def streamed(self, model):
        chunks = self.client.chat.completions.create(model=model, messages=QUESTION, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


class Rehearsal(GatewayTest):
    def test_it_says_what_it_is(self):
        answer = self.client.chat.completions.create(model=BACKENDS["rehearsal"], messages=QUESTION)
        self.assertIn("rehearsal", answer.choices[0].message.content)
        self.assertEqual(requests(), [])
