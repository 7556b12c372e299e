// A ledger in a fresh directory with a clock that stands still, and blocking forms of its calls. Tests only.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "ledger/ledger.h"

namespace dormouse::ledger {

// "r7". Not `"r" + std::to_string(7)`: GCC 12.2 warns of overlapping memcpy there (PR 105651).
inline std::string numbered(const char* prefix, int number) {
  return fmt::format("{}{}", prefix, number);
}

// ManualClock is of one thread; the writer's reads of it happen-after the call that queued the command.
class LedgerFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "ledger_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    book_.reset();
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] Options options() const {
    Options out;
    out.path = directory_ + "/ledger.db";
    out.clock = &clock_;
    out.ballast_bytes = 0;
    return out;
  }
  void open() {
    auto opened = Ledger::open(options());
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    book_ = std::move(*opened);
  }
  void reopen() {
    book_.reset();
    open();
  }

  template <typename Start>
  static Status wait(Start start) {
    std::promise<Status> promise;
    start([&promise](Status status) { promise.set_value(std::move(status)); });
    return promise.get_future().get();
  }
  template <typename T, typename Start>
  static T ask(Start start) {
    std::promise<Result<T>> promise;
    start([&promise](Result<T> result) { promise.set_value(std::move(result)); });
    return promise.get_future().get().value();
  }

  Status put(const std::string& name) {
    Deployment deployment;
    deployment.name = name;
    return wait([&](Done done) { book_->put_deployment(deployment, done); });
  }
  static Reservation reservation(const std::string& id) {
    Reservation out;
    out.request_id = id;
    out.deployment = "m";
    out.dialect = "openai";
    out.input_tokens = 10;
    out.output_tokens = 100;
    return out;
  }
  static Settlement settlement(const std::string& id, std::int64_t output_tokens) {
    Settlement out;
    out.request_id = id;
    out.input_tokens = 10;
    out.output_tokens = output_tokens;
    return out;
  }
  static Checkpoint checkpoint_of(const std::string& id, std::int64_t input, std::int64_t cached, std::int64_t output) {
    Checkpoint out;
    out.request_id = id;
    out.input_tokens = input;
    out.cached_tokens = cached;
    out.output_tokens = output;
    return out;
  }
  Status checkpoint(const Checkpoint& at) {
    return wait([&](Done done) { book_->checkpoint(at, done); });
  }
  Status close(const std::string& id, bool written) {
    return wait([&](Done done) { book_->close({id, written}, done); });
  }
  Status reserve(const std::string& id) {
    return wait([&](Done done) { book_->reserve(reservation(id), done); });
  }
  Status settle(const std::string& id, std::int64_t output_tokens) {
    return wait([&](Done done) { book_->settle(settlement(id, output_tokens), done); });
  }
  Status span(const std::string& id, SpanPhase phase, std::int64_t since_request_us, const std::string& reason = "") {
    return wait([&](Done done) { book_->record_span({id, phase, since_request_us, reason}, done); });
  }
  Status intent(const std::string& id, std::uint64_t epoch, const std::string& driver = kChildDriver) {
    StartIntent out;
    out.instance_id = id;
    out.deployment = "m";
    out.driver = driver;
    out.epoch = epoch;
    out.cause = "request";
    return wait([&](Done done) { book_->record_intent(out, done); });
  }
  std::vector<RequestRow> requests() {
    RequestQuery query;
    query.limit = 1'000;
    return ask<RequestPage>([&](Answer<RequestPage> answer) { book_->request_page(query, std::move(answer)); }).rows;
  }
  std::vector<Span> spans() {
    return ask<std::vector<Span>>([&](Answer<std::vector<Span>> answer) { book_->spans("", 100, std::move(answer)); });
  }
  std::vector<UsageRow> usage(const UsageQuery& query) {
    return ask<UsageReport>([&](Answer<UsageReport> answer) { book_->usage(query, std::move(answer)); }).rows;
  }

  ManualClock clock_;
  std::string directory_;
  std::unique_ptr<Ledger> book_;
};

}  // namespace dormouse::ledger
