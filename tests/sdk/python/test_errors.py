"""Errors: each arrives as the SDK's own exception, and the SDK does not multiply the gateway's retries."""

import time

import openai
from gateway import DEAD_URL, MOCK_URL, QUESTION, GatewayTest, on_backends, requests, script


class Errors(GatewayTest):
    def fails(self, expected, model="mock-model", using=None, **options):
        """Makes a call that raises exactly this exception, and returns it."""
        using = using or self.client
        with self.assertRaises(openai.OpenAIError) as raised:
            using.chat.completions.create(model=model, messages=QUESTION, **options)
        self.assertIs(type(raised.exception), expected)
        return raised.exception

    @on_backends("openai", "ollama")
    def test_each_status_of_an_upstream_is_its_exception(self, _, model):
        expected = {
            400: openai.BadRequestError,
            404: openai.NotFoundError,
            409: openai.ConflictError,
            422: openai.UnprocessableEntityError,
            429: openai.RateLimitError,
            500: openai.InternalServerError,
            503: openai.InternalServerError,
        }
        for status, exception in expected.items():
            for stream in (False, True):
                with self.subTest(status=status, stream=stream):
                    script(status=status)
                    error = self.fails(exception, model, using=self.new_client(max_retries=0), stream=stream)
                    self.assertEqual(error.status_code, status)
                    self.assertTrue(error.message and error.type and error.code and error.request_id)

    def test_an_upstream_that_refuses_the_gateways_key_is_the_gateways_fault(self):
        for status in (401, 403):
            script(status=status)
            error = self.fails(openai.InternalServerError)
            self.assertEqual((error.status_code, error.code), (502, "upstream_auth"))

    def test_a_wrong_key_is_an_authentication_error(self):
        for stream in (False, True):
            error = self.fails(openai.AuthenticationError, using=self.new_client(api_key="wrong"), stream=stream)
            self.assertEqual((error.status_code, error.code), (401, "invalid_api_key"))
            self.assertTrue(error.message and error.request_id)
        with self.assertRaises(openai.AuthenticationError):
            self.new_client(api_key="wrong").models.list()
        self.assertEqual(requests(), [])

    def test_a_model_that_the_caller_may_not_use_is_not_permitted(self):
        limited = self.new_client(api_key="limited-application-key")
        error = self.fails(openai.PermissionDeniedError, "rehearsal", using=limited)
        self.assertEqual((error.code, error.param), ("model_not_allowed", "model"))
        self.assertTrue(all(model.id.startswith("mock-") for model in limited.models.list()))
        limited.chat.completions.create(model="mock-model", messages=QUESTION)

    def test_a_caller_that_asks_too_often_is_told_when_to_come_back_and_does(self):
        hurried = self.new_client(api_key="hurried-application-key")
        hurried.chat.completions.create(model="mock-model", messages=QUESTION)
        at_once = hurried.with_options(max_retries=0)
        for stream in (False, True):
            error = self.fails(openai.RateLimitError, using=at_once, stream=stream)
            self.assertEqual((error.status_code, error.code, error.type), (429, "rate_limit_exceeded", "requests"))
            headers = error.response.headers
            self.assertEqual((headers["retry-after"], headers["x-ratelimit-remaining-requests"]), ("2", "0"))
            self.assertNotIn("x-should-retry", headers)
        wait = int(headers["retry-after-ms"]) / 1000
        began = time.monotonic()
        # One retry of its own after half a second, as it does by default, would be one too early.
        answer = hurried.chat.completions.with_raw_response.create(model="mock-model", messages=QUESTION)
        self.assertEqual(answer.retries_taken, 1)
        self.assertGreater(time.monotonic() - began, wait - 0.1)
        self.assertEqual(len(requests()), 2)

    def test_an_unknown_host_is_not_permitted(self):
        stranger = self.new_client(default_headers={"Host": "evil.example"})
        error = self.fails(openai.PermissionDeniedError, using=stranger)
        self.assertEqual((error.status_code, error.code), (403, "unknown_host"))

    def test_a_web_page_of_another_origin_is_not_permitted(self):
        page = self.new_client(default_headers={"Origin": "https://evil.example"})
        error = self.fails(openai.PermissionDeniedError, using=page)
        self.assertEqual(error.code, "unknown_origin")

    def test_a_model_without_a_route_is_not_found(self):
        error = self.fails(openai.NotFoundError, "rehersal")
        self.assertEqual((error.code, error.param), ("model_not_found", "model"))
        self.assertIn("Did you mean `rehearsal`?", error.message)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("no-such-model")

    def test_a_path_without_a_route_is_not_found(self):
        with self.assertRaises(openai.NotFoundError) as raised:
            self.client.batches.list()
        self.assertEqual(raised.exception.code, "no_route")

    def test_a_request_that_is_wrong_is_told_where(self):
        with self.assertRaises(openai.BadRequestError) as raised:
            self.client.post("/chat/completions", body={"model": "mock-model"}, cast_to=object)
        self.assertEqual(raised.exception.param, "messages")
        self.assertEqual(requests(), [])

    def test_no_error_names_the_upstreams_address(self):
        for model, plan in (("unreachable", {}), ("mock-model", {"status": 500}), ("mock-model", {"fault": "garbage"})):
            with self.subTest(model=model, **plan):
                script(**plan)
                error = self.fails(openai.InternalServerError, model)
                self.assertNotIn("127.0.0.1", str(error) + str(error.body))
                self.assertNotIn("upstream-key", str(error) + str(error.body))

    def test_an_upstream_that_is_too_slow(self):
        script(fault="stall_before_head")
        error = self.fails(openai.InternalServerError, "impatient")
        self.assertEqual((error.status_code, error.code), (504, "upstream_timeout"))

    def test_a_client_that_is_impatient(self):
        script(fault="stall_before_head")
        self.fails(openai.APITimeoutError, using=self.new_client(timeout=0.2, max_retries=0))

    def test_no_gateway_at_all(self):
        self.fails(openai.APIConnectionError, using=self.new_client(base_url=DEAD_URL + "/v1", max_retries=0))


class Retries(GatewayTest):
    """The gateway tries twice; an SDK that retried as well, as it does by default, would make it six times."""

    def attempts(self, model="retried", **options):
        with self.assertRaises(openai.APIStatusError) as raised:
            self.client.chat.completions.create(model=model, messages=QUESTION, **options)
        self.assertEqual(raised.exception.response.headers["x-should-retry"], "false")
        return len(requests())

    def test_the_sdk_would_retry_by_itself(self):
        self.assertEqual(self.client.max_retries, openai.DEFAULT_MAX_RETRIES)
        script(fail_first=1, status=503)
        direct = self.new_client(base_url=MOCK_URL + "/v1")
        direct.chat.completions.create(model="mock-model", messages=QUESTION)
        self.assertEqual(len(requests()), 2)

    def test_an_exhausted_chain_is_not_tried_again(self):
        for status in (408, 429, 500, 503):
            for stream in (False, True):
                with self.subTest(status=status, stream=stream):
                    self.begin()
                    script(status=status)
                    self.assertEqual(self.attempts(stream=stream), 2)

    def test_nor_is_a_broken_or_a_slow_upstream(self):
        script(fault="garbage")
        self.assertEqual(self.attempts(), 2)
        self.begin()
        script(fault="stall_before_head")
        self.assertEqual(self.attempts("impatient"), 1)

    def test_a_failure_that_passes_is_the_gateways_to_mend(self):
        script(text="mended", fail_first=1, status=503)
        answer = self.client.chat.completions.create(model="retried", messages=QUESTION)
        self.assertEqual(answer.choices[0].message.content, "mended")
        self.assertEqual(len(requests()), 2)
