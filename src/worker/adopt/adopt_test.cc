// Goal: to the gateway and to clients an adopted server is what `dormouse-worker serve` is, from its start to its end,
// and nothing of it is left behind. Method: the real adopter, tests/fake_upstream as its child, a fake gateway.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>

#include "api/generation.h"
#include "base/unique_fd.h"
#include "worker/adopt/adopt_fixture_test.h"
#include "worker/fake_gateway_test.h"

namespace dormouse::worker::adopt {
namespace {

// Skips what comes in between.
template <typename T>
std::optional<T> wait_for(FakeGateway& gateway) {
  while (const std::optional<control::Message> message = gateway.next()) {
    if (const T* found = std::get_if<T>(&*message); found != nullptr) return *found;
  }
  return std::nullopt;
}

std::string completion(const std::string& prompt, bool stream = true) {
  return R"({"model":"ours","prompt":")" + prompt + R"(","stream":)" + (stream ? "true" : "false") +
         (stream ? R"(,"stream_options":{"include_usage":true,"continuous_usage_stats":true}})" : "}");
}

// Reads until so much of an answer has come that `what` is in it.
bool read_until(http::RawClient& client, const std::string& what, std::string& seen) {
  while (seen.find(what) == std::string::npos) {
    pollfd p{client.fd(), POLLIN, 0};
    if (::poll(&p, 1, 10'000) != 1) return false;
    char buffer[4096];
    const ssize_t got = ::read(client.fd(), buffer, sizeof buffer);
    if (got <= 0) return false;
    seen.append(buffer, static_cast<std::size_t>(got));
  }
  return true;
}

TEST(Adopt, SaysHelloProgressReadyAndAnswersAsServeDoes) {
  FakeGateway gateway;
  AdopterHarness harness({.arguments = {"--load-until", "{dir}/loaded"}, .control = gateway.address()});
  const std::optional<control::Message> first = gateway.next();
  ASSERT_TRUE(first.has_value() && std::holds_alternative<control::Hello>(*first));
  EXPECT_EQ(std::get<control::Hello>(*first).lease, "the-lease");
  EXPECT_EQ(std::get<control::Hello>(*first).epoch, 42U);
  EXPECT_EQ(std::get<control::Hello>(*first).address, harness.address().to_string());
  const std::optional<control::Progress> progress = wait_for<control::Progress>(gateway);
  ASSERT_TRUE(progress.has_value());
  EXPECT_EQ(progress->phase, "starting");
  EXPECT_EQ(progress->fraction, 0);
  EXPECT_EQ(harness.get("/health").status, 503) << "its 503 is ours";
  EXPECT_NE(harness.post("/v1/completions", completion("say")).body.find("model_loading"), std::string::npos);
  EXPECT_EQ(harness.get("/v1/models").status, 200) << "listed while it loads";
  harness.touch("loaded");
  const std::optional<control::Ready> ready = wait_for<control::Ready>(gateway);
  ASSERT_TRUE(ready.has_value());
  EXPECT_EQ(ready->model, "ours");
  EXPECT_EQ(ready->isa, "external");
  EXPECT_EQ(ready->context_length, 2048);
  EXPECT_EQ(ready->max_sequences, 4);
  EXPECT_NE(harness.get("/v1/models").body.find("\"ours\""), std::string::npos);
  EXPECT_EQ(harness.get("/v1/models/ours").status, 200);
  EXPECT_EQ(harness.get("/v1/models/their-name").status, 404);
  EXPECT_EQ(harness.get("/nowhere").status, 404);
  EXPECT_EQ(harness.get("/v1/completions").status, 405);
  EXPECT_NE(harness.output().find("theirs: listening"), std::string::npos);
}

TEST(Adopt, StreamsWithCumulativeUsage) {
  AdopterHarness harness({});
  ASSERT_TRUE(harness.wait_ready());
  const http::RawAnswer answer = harness.post("/v1/completions", completion("say"));
  EXPECT_EQ(answer.status, 200);
  const std::vector<std::string> payloads = sse_payloads(answer.body);
  ASSERT_EQ(payloads.size(), 7U) << answer.body;
  for (int i = 0; i < 5; ++i) {
    const api::ParsedChunk chunk = *api::parse_chunk(payloads[static_cast<std::size_t>(i)]);
    EXPECT_EQ(chunk.usage->completion_tokens, i + 1);
    EXPECT_EQ(chunk.head.model, "ours");
  }
  EXPECT_EQ(api::parse_chunk(payloads[5])->usage->prompt_tokens, 7) << "theirs, from the last chunk";
  EXPECT_EQ(payloads[6], "[DONE]");
}

TEST(Adopt, AnswersWholeAndPassesOtherPathsOn) {
  AdopterHarness harness({});
  ASSERT_TRUE(harness.wait_ready());
  const http::RawAnswer whole =
      harness.post("/v1/chat/completions", R"({"model":"ours","messages":[{"role":"user","content":"say"}]})");
  ASSERT_EQ(whole.status, 200) << whole.body;
  const api::ParsedChunk parsed = *api::parse_chunk(whole.body);
  EXPECT_EQ(parsed.choices.at(0).content, "t0 t1 t2 t3 t4 ");
  EXPECT_EQ(parsed.usage->completion_tokens, 5);
  EXPECT_EQ(parsed.head.model, "ours");
  EXPECT_EQ(harness.post("/v1/embeddings", R"({"input":["x","y"]})").body,
            R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,1]},)"
            R"({"object":"embedding","index":1,"embedding":[0.5,2]}],)"
            R"("model":"ours","usage":{"prompt_tokens":7,"total_tokens":7}})");
  EXPECT_EQ(harness.post("/v1/unknown", "{}").status, 404);
  EXPECT_EQ(harness.post("/v1/completions", R"({"model":"another","prompt":"say"})").status, 404);
  EXPECT_EQ(harness.post("/v1/completions", "{").status, 400);
}

TEST(Adopt, IsReadyByItsModelsWhereThereIsNoHealth) {
  AdopterHarness harness({.arguments = {"--no-health"}});
  EXPECT_TRUE(harness.wait_ready());
}

TEST(Adopt, ADeathAtTheStartIsToldWithItsLastWords) {
  FakeGateway gateway;
  AdopterHarness harness({.arguments = {"--die"}, .control = gateway.address()});
  const std::optional<control::Failed> failed = wait_for<control::Failed>(gateway);
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->code, "out_of_memory");
  EXPECT_NE(failed->message.find("exit code 3"), std::string::npos);
  EXPECT_NE(failed->message.find("CUDA error: out of memory"), std::string::npos);
  EXPECT_EQ(harness.wait_exit(), 2);
}

TEST(Adopt, AMissingProgramIsToldLikeADeath) {
  FakeGateway gateway;
  AdopterHarness harness({.command = {"no-such-server", "{port}"}, .control = gateway.address()});
  const std::optional<control::Failed> failed = wait_for<control::Failed>(gateway);
  ASSERT_TRUE(failed.has_value());
  EXPECT_NE(failed->message.find("no-such-server"), std::string::npos);
  EXPECT_EQ(harness.wait_exit(), 2);
}

TEST(Adopt, OneThatIsNeverReadyIsGivenUpAndEnded) {
  FakeGateway gateway;
  AdopterHarness harness({.arguments = {"--load-until", "{dir}/never"},
                          .control = gateway.address(),
                          .ready_deadline = std::chrono::milliseconds(300)});
  const std::optional<control::Failed> failed = wait_for<control::Failed>(gateway);
  ASSERT_TRUE(failed.has_value());
  EXPECT_NE(failed->message.find("not ready"), std::string::npos) << failed->message;
  EXPECT_NE(failed->message.find("status 503"), std::string::npos) << failed->message;
  EXPECT_EQ(harness.wait_exit(), 2);
}

TEST(Adopt, ADeathInMidAnswerBreaksItAndEndsUs) {
  FakeGateway gateway;
  AdopterHarness harness({.control = gateway.address()});
  ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
  const http::RawAnswer answer = harness.post("/v1/completions", completion("die"));
  EXPECT_EQ(answer.body.find("[DONE]"), std::string::npos);
  EXPECT_NE(answer.body.find("worker_crashed"), std::string::npos) << answer.body;
  const std::optional<control::Failed> failed = wait_for<control::Failed>(gateway);
  ASSERT_TRUE(failed.has_value());
  EXPECT_NE(failed->message.find("exit code 9"), std::string::npos);
  EXPECT_EQ(harness.wait_exit(), kExitUpstreamDied);
}

TEST(Adopt, ReportsStepsThatMoveOnlyWithAnswers) {
  FakeGateway gateway;
  AdopterHarness harness({.control = gateway.address()});
  ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
  http::RawClient client(harness.address());
  client.send(post_bytes("/v1/completions", completion("hold " + harness.path("go"))));
  std::string seen;
  ASSERT_TRUE(read_until(client, "t1 ", seen));
  const std::optional<control::Stats> one = wait_for<control::Stats>(gateway);
  const std::optional<control::Stats> two = wait_for<control::Stats>(gateway);
  ASSERT_TRUE(one.has_value() && two.has_value());
  EXPECT_EQ(two->running, 1);
  EXPECT_EQ(two->waiting, 0);
  EXPECT_GT(two->steps, 0U);
  EXPECT_EQ(one->steps, two->steps) << "nothing flows: it looks hung, which it is";
  EXPECT_EQ(two->generated_tokens, 2U);
  harness.touch("go");
  ASSERT_TRUE(read_until(client, "[DONE]", seen));
  std::optional<control::Stats> quiet = wait_for<control::Stats>(gateway);
  while (quiet.has_value() && quiet->running != 0) quiet = wait_for<control::Stats>(gateway);
  ASSERT_TRUE(quiet.has_value());
  EXPECT_GT(quiet->steps, two->steps);
  EXPECT_EQ(quiet->generated_tokens, 5U);
  EXPECT_EQ(quiet->prompt_tokens, 7U);
}

TEST(Adopt, ADrainFinishesWhatRunsAndTakesNothingNew) {
  FakeGateway gateway;
  AdopterHarness harness({.control = gateway.address()});
  ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
  http::RawClient client(harness.address());
  client.send(post_bytes("/v1/completions", completion("hold " + harness.path("go"))));
  std::string seen;
  ASSERT_TRUE(read_until(client, "t1 ", seen));
  gateway.send(control::Drain{});
  ASSERT_TRUE(http::TestServer::eventually([&] { return harness.get("/health").status == 503; }));
  EXPECT_NE(harness.post("/v1/completions", completion("say")).body.find("draining"), std::string::npos);
  harness.touch("go");
  EXPECT_TRUE(read_until(client, "[DONE]", seen));
  EXPECT_EQ(harness.wait_exit(), 0);
  EXPECT_FALSE(std::filesystem::exists(harness.path("data.sock")));
}

TEST(Adopt, AStopEndsWhateverRunsAndTheWholeGroup) {
  FakeGateway gateway;
  const std::string script =
      std::string("sleep 1000 & echo grandchild=$!; exec ") + FAKE_UPSTREAM_PATH + " --port {port}";
  AdopterHarness harness({.command = {"/bin/sh", "-c", script}, .control = gateway.address()});
  ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
  const std::string output = harness.output();
  const std::size_t at = output.find("grandchild=");
  ASSERT_NE(at, std::string::npos);
  pid_t grandchild = 0;
  std::from_chars(output.data() + at + 11, output.data() + output.size(), grandchild);
  const UniqueFd watch(static_cast<int>(::syscall(SYS_pidfd_open, grandchild, 0U)));
  ASSERT_TRUE(watch.is_open());
  http::RawClient client(harness.address());
  client.send(post_bytes("/v1/completions", completion("hold " + harness.path("never"))));
  std::string seen;
  ASSERT_TRUE(read_until(client, "t1 ", seen));
  gateway.send(control::Stop{});
  EXPECT_EQ(harness.wait_exit(), 0);
  pollfd p{watch.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&p, 1, 10'000), 1) << "the grandchild lives on";
}

TEST(Adopt, AnOrphanEndsItselfWhileItsChildStarts) {
  FakeGateway gateway;
  AdopterHarness harness({.arguments = {"--load-until", "{dir}/never"}, .control = gateway.address()});
  ASSERT_TRUE(wait_for<control::Hello>(gateway).has_value());
  gateway.vanish();
  EXPECT_EQ(harness.wait_exit(), 0);
}

TEST(Adopt, AChildThatIgnoresSigtermIsKilledByTheSecondStop) {
  AdopterHarness harness({.arguments = {"--ignore-term"}});
  ASSERT_TRUE(harness.wait_ready());
  harness.drain();
  harness.drain();
  EXPECT_EQ(harness.wait_exit(), 0);
}

TEST(Adopt, OnAPortItAnswersNobodyWithoutTheLease) {
  FakeGateway gateway;
  AdopterHarness harness({.listen = "127.0.0.1:0", .control = gateway.address()});
  ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
  for (const char* path : {"/health", "/v1/models", "/v1/whatever"}) EXPECT_EQ(harness.get(path).status, 401) << path;
  EXPECT_EQ(harness.post("/v1/completions", completion("say")).status, 401);
  http::RawClient client(harness.address());
  client.send("GET /health HTTP/1.1\r\nhost: x\r\nauthorization: Bearer the-lease\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 200);
}

}  // namespace
}  // namespace dormouse::worker::adopt
