// Goal: what a worker and its gateway say to each other, and how each ends. Method: a worker with a fake engine and a
// fake gateway on Unix sockets.
#include <gtest/gtest.h>

#include "worker/worker_fixture_test.h"

namespace dormouse::worker {
namespace {

WorkerHarness::Options controlled(const FakeGateway& gateway) {
  WorkerHarness::Options options;
  options.serve.gateway.control = gateway.address();
  options.serve.gateway.lease = "the-lease";
  options.serve.gateway.epoch = 42;
  return options;
}

// Skips what comes in between.
template <typename T>
std::optional<T> wait_for(FakeGateway& gateway) {
  while (const std::optional<control::Message> message = gateway.next()) {
    if (const T* found = std::get_if<T>(&*message); found != nullptr) return *found;
  }
  return std::nullopt;
}

std::string completion(const std::string& prompt) {
  return R"({"model":"fake","prompt":")" + prompt + "\"}";
}

TEST(WorkerControl, SaysHelloFirstThenProgressThenReady) {
  FakeGateway gateway;
  WorkerHarness::Options options = controlled(gateway);
  options.hold_load = true;
  WorkerHarness harness(std::move(options));
  const std::optional<control::Message> first = gateway.next();
  ASSERT_TRUE(first.has_value() && std::holds_alternative<control::Hello>(*first));
  const control::Hello& hello = std::get<control::Hello>(*first);
  EXPECT_EQ(hello.lease, "the-lease");
  EXPECT_EQ(hello.epoch, 42U);
  EXPECT_EQ(hello.address, harness.address().to_string());
  EXPECT_EQ(hello.protocol, control::kProtocolVersion);
  harness.finish_load();
  const std::optional<control::Ready> ready = wait_for<control::Ready>(gateway);
  ASSERT_TRUE(ready.has_value());
  EXPECT_EQ(ready->model, "fake");
  EXPECT_EQ(ready->context_length, 2048);
  EXPECT_EQ(ready->kv_tokens, 256 * 32);
  EXPECT_GT(ready->load_us, 0);
}

TEST(WorkerControl, ReportsStepsAndOnceWhenTheLastRequestHasEnded) {
  FakeGateway gateway;
  WorkerHarness harness(controlled(gateway));
  ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
  harness.engine().hold();
  http::RawClient client(harness.address());
  client.send(post_bytes("/v1/completions", completion("SAY:abc|")));
  const std::optional<control::Stats> busy = wait_for<control::Stats>(gateway);
  ASSERT_TRUE(busy.has_value());
  EXPECT_EQ(busy->running + busy->waiting, 1);
  harness.engine().release();
  EXPECT_EQ(client.read_answer().status, 200);
  std::optional<control::Stats> quiet = wait_for<control::Stats>(gateway);
  while (quiet.has_value() && quiet->running != 0) quiet = wait_for<control::Stats>(gateway);
  ASSERT_TRUE(quiet.has_value());
  EXPECT_EQ(quiet->generated_tokens, 4U);
  EXPECT_GE(quiet->steps, 4U);
  // One that comes and goes between two looks is spoken of as well.
  http::RawClient short_one(harness.address());
  short_one.send(post_bytes("/v1/completions", completion("SAY:a|")));
  EXPECT_EQ(short_one.read_answer().status, 200);
  std::optional<control::Stats> after = wait_for<control::Stats>(gateway);
  while (after.has_value() && after->running != 0) after = wait_for<control::Stats>(gateway);
  ASSERT_TRUE(after.has_value());
  EXPECT_GT(after->steps, quiet->steps);
}

TEST(WorkerControl, ReportsWhatASlowStepTakesOnceAPromptHasBeenComputed) {
  FakeGateway gateway;
  WorkerHarness harness(controlled(gateway));
  http::RawClient client(harness.address());
  std::string prompt;
  for (int word = 0; word < 64; ++word) prompt += "abc ";
  ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
  harness.engine().hold();  // until it reports that something runs
  client.send(post_bytes("/v1/completions", completion(prompt + "SAY:abc|")));
  const std::optional<control::Stats> busy = wait_for<control::Stats>(gateway);
  ASSERT_TRUE(busy.has_value());
  EXPECT_EQ(busy->slow_step_us, 0) << "no step has ended";
  harness.engine().release();
  EXPECT_EQ(client.read_answer().status, 200);
  std::optional<control::Stats> quiet = wait_for<control::Stats>(gateway);
  while (quiet.has_value() && quiet->running != 0) quiet = wait_for<control::Stats>(gateway);
  ASSERT_TRUE(quiet.has_value());
  EXPECT_GT(quiet->slow_step_us, 0);
}

TEST(WorkerControl, ObeysDrainAndStop) {
  FakeGateway gateway;
  {
    WorkerHarness harness(controlled(gateway));
    ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
    gateway.send(control::Drain{});
    EXPECT_EQ(harness.wait_exit(), 0);
  }
  WorkerHarness harness(controlled(gateway));
  ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
  harness.engine().hold();
  http::RawClient client(harness.address());
  client.send(post_bytes("/v1/completions", completion("SAY:abc|")));
  gateway.send(control::Stop{});
  EXPECT_EQ(harness.wait_exit(), 0) << "although a request hangs";
}

TEST(WorkerControl, AnOrphanEndsItself) {
  FakeGateway gateway;
  WorkerHarness harness(controlled(gateway));
  ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
  gateway.vanish();
  EXPECT_EQ(harness.wait_exit(), 0);
}

TEST(WorkerControl, AnOrphanEndsItselfWhileItLoads) {
  FakeGateway gateway;
  WorkerHarness::Options options = controlled(gateway);
  options.hold_load = true;
  WorkerHarness harness(std::move(options));
  ASSERT_TRUE(wait_for<control::Hello>(gateway).has_value());
  gateway.vanish();
  EXPECT_EQ(harness.wait_exit(), 0);
}

TEST(WorkerControl, WrongGoldenRowsEndTheWorkerBeforeAClientSeesAToken) {
  FakeGateway gateway;
  WorkerHarness::Options options = controlled(gateway);
  options.serve.generator.spoil_golden = true;
  WorkerHarness harness(std::move(options));
  ASSERT_TRUE(wait_for<control::Ready>(gateway).has_value());
  http::RawClient client(harness.address());
  client.send(post_bytes("/v1/completions", completion("SAY:abc|")));
  const std::optional<control::Failed> failed = wait_for<control::Failed>(gateway);
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->code, "golden_mismatch");
  EXPECT_EQ(harness.wait_exit(), 3);
}

TEST(WorkerControl, ALoadThatFailsIsSaidAndEndsTheWorker) {
  FakeGateway gateway;
  WorkerHarness::Options options = controlled(gateway);
  options.loader = [](const LoadProgress&) -> Result<LoadedModel> {
    return make_error(Code::kDataLoss, "tensor blk.0.attn_q.weight is missing");
  };
  WorkerHarness harness(std::move(options));
  const std::optional<control::Failed> failed = wait_for<control::Failed>(gateway);
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->code, "model_invalid");
  EXPECT_EQ(harness.wait_exit(), 2);
}

}  // namespace
}  // namespace dormouse::worker
