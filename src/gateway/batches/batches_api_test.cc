// Goal: the life of files and batches: what is told of it, what is refused, and when they go. Method: the whole gateway
// without sockets and instances (plan_fixture.h), a clock that the test moves. What runs is tests/e2e/batches_test.cc.
#include "gateway/batches/batches_api.h"

#include <boost/json.hpp>

#include "gateway/batches/taken_back.h"
#include "gateway/plan_fixture.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

constexpr std::int64_t kDay_s = 86'400;
constexpr const char* kLine =
    R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"chat","messages":[]}})";

class BatchesApiTest : public PlanFixture {
 protected:
  void SetUp() override {
    PlanFixture::SetUp();
    open(moment(11, 20));
    start({.keep = std::chrono::hours(24 * 30), .most_bytes = 4'096});
  }
  void TearDown() override {
    batches_->stop();
    PlanFixture::TearDown();
    api_.reset();
    batches_.reset();
    files_.reset();
  }
  void start(FileKeeping keeping) {
    files_ = FileStore::open(io_, (directory_ / "files").string(), keeping).value();
    BatchDoor door;
    door.deployment_of = [](const Batch& batch) { return batch.model; };
    door.handle = [this](const Batch& batch, http::Exchange& exchange) {
      return gateway_->handle_batched(batch, exchange);
    };
    door.taken_back = [this] { return taken_back(io_, *ledger_); };
    batches_ = std::make_unique<BatchRunner>(io_, clock_, *files_, *supervisor_, std::move(door), keeping.keep);
    ASSERT_TRUE(run(batches_->start()).has_value());
    api_.emplace(clock_, *files_, *batches_);
    gateway_->add_batches(*api_);
  }
  http::Response upload(const std::string& content, const std::string& more = "") {
    http::Request request;
    request.method = "POST";
    request.path = "/v1/files";
    request.peer = "unix";
    request.headers.set("host", "localhost");
    request.headers.set("content-type", "multipart/form-data; boundary=b");
    request.body = "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n" + more +
                   "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\r\n" + content +
                   "\r\n--b--\r\n";
    AnsweredExchange exchange(std::move(request), kSocketDoor);
    run(answer(exchange));
    return exchange.response;
  }
  static std::string field(const std::string& name, const std::string& value) {
    return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
  }
  http::Response create(const std::string& file, const std::string& more = "") {
    return ask("POST", "/v1/batches", "",
               R"({"input_file_id":")" + file + R"(","endpoint":"/v1/chat/completions","completion_window":"7d")" +
                   more + "}");
  }
  static std::string text(const http::Response& response, const char* name) {
    return std::string(json::parse(response.body).at(name).as_string());
  }
  static std::int64_t number(const http::Response& response, const char* name) {
    return json::parse(response.body).at(name).to_number<std::int64_t>();
  }
  void pass(std::int64_t seconds) {
    clock_.set(clock_.wall().us + seconds * kTestSecondUs);
    run(swept());
  }
  int status(const std::string& path) { return ask("GET", path).status; }

  std::unique_ptr<FileStore> files_;
  std::unique_ptr<BatchRunner> batches_;
  std::optional<BatchesApi> api_;

 private:
  Task<bool> answer(AnsweredExchange& exchange) {
    co_await gateway_->handle(exchange);
    co_return true;
  }
  Task<bool> swept() {
    co_await batches_->sweep();
    co_return true;
  }
};

TEST_F(BatchesApiTest, AFileGoesWhenItsTimeIsOver) {
  const http::Response usual = upload(kLine);
  ASSERT_EQ(usual.status, 200) << usual.body;
  EXPECT_EQ(number(usual, "expires_at") - number(usual, "created_at"), 30 * kDay_s);
  const http::Response hour =
      upload(kLine, field("expires_after[anchor]", "created_at") + field("expires_after[seconds]", "3600"));
  EXPECT_EQ(number(hour, "expires_at") - number(hour, "created_at"), 3'600) << hour.body;
  pass(3'599);
  EXPECT_EQ(status("/v1/files/" + text(hour, "id")), 200);
  pass(1);
  EXPECT_EQ(status("/v1/files/" + text(hour, "id")), 404);
  EXPECT_EQ(status("/v1/files/" + text(usual, "id")), 200);
  EXPECT_FALSE(std::filesystem::exists(files_->data_path(text(hour, "id"))));
  pass(30 * kDay_s);
  EXPECT_EQ(status("/v1/files/" + text(usual, "id")), 404);
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "files"));
}

TEST_F(BatchesApiTest, WhatACrashLeftOfAnUploadGoesAtTheNextStart) {
  const std::string kept = text(upload(kLine), "id");
  const std::string half = files_->data_path("file-half");
  ASSERT_TRUE(write_durably(half, kLine).has_value());
  ASSERT_TRUE(run(batches_->start()).has_value());
  EXPECT_FALSE(std::filesystem::exists(half));
  EXPECT_TRUE(std::filesystem::exists(files_->data_path(kept)));
}

TEST_F(BatchesApiTest, AnExpiryOutOfBoundsNamesItsField) {
  for (const auto& [anchor, seconds] : {std::pair("created_at", "3599"), std::pair("created_at", "2592001"),
                                        std::pair("created_at", "1h"), std::pair("now", "3600")}) {
    const http::Response refused =
        upload(kLine, field("expires_after[anchor]", anchor) + field("expires_after[seconds]", seconds));
    EXPECT_EQ(refused.status, 400) << seconds;
    EXPECT_EQ(json::parse(refused.body).at("error").at("param"), "expires_after") << refused.body;
  }
  EXPECT_TRUE(files_->all().empty());
  const std::string file = text(upload(kLine), "id");
  EXPECT_EQ(create(file, R"(,"output_expires_after":{"anchor":"created_at","seconds":60})").status, 400);
  EXPECT_EQ(create(file, R"(,"output_expires_after":{"seconds":3600})").status, 400);
  EXPECT_EQ(create(file, R"(,"output_expires_after":{"anchor":"created_at","seconds":3600})").status, 200);
}

TEST_F(BatchesApiTest, WhatAnOpenBatchReadsStays) {
  const std::string file =
      text(upload(kLine, field("expires_after[anchor]", "created_at") + field("expires_after[seconds]", "3600")), "id");
  const http::Response made = create(file);
  ASSERT_EQ(made.status, 200) << made.body;
  const http::Response refused = ask("DELETE", "/v1/files/" + file);
  EXPECT_EQ(refused.status, 409) << refused.body;
  EXPECT_NE(refused.body.find("cancel it"), std::string::npos) << "what to do is said";
  pass(7'200);
  EXPECT_EQ(status("/v1/files/" + file), 200) << "its requests are still to come";
  const std::string batch = text(made, "id");
  ASSERT_EQ(ask("POST", "/v1/batches/" + batch + "/cancel").status, 200);
  for (int i = 0; i < 50 && batches_->find(batch)->status != BatchStatus::kCancelled; ++i) io_.run_one();
  ASSERT_EQ(batches_->find(batch)->status, BatchStatus::kCancelled);
  pass(60);
  EXPECT_EQ(status("/v1/files/" + file), 404);
  EXPECT_EQ(status("/v1/batches/" + batch), 200);
  pass(30 * kDay_s);
  EXPECT_EQ(status("/v1/batches/" + batch), 404);
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "files"));
}

TEST_F(BatchesApiTest, ABoundOnAllBytesSaysWhatToDo) {
  const http::Response first = upload(std::string(3'000, 'x'));
  ASSERT_EQ(first.status, 200);
  const http::Response second = upload(std::string(1'097, 'x'));
  EXPECT_EQ(second.status, 413);
  EXPECT_NE(second.body.find("most_bytes"), std::string::npos) << second.body;
  EXPECT_NE(second.body.find("4096"), std::string::npos) << second.body;
  EXPECT_EQ(upload(std::string(1'096, 'x')).status, 200);
  EXPECT_EQ(ask("DELETE", "/v1/files/" + text(first, "id")).status, 200);
  EXPECT_EQ(upload(std::string(3'000, 'x')).status, 200);
}

}  // namespace
}  // namespace dormouse::gateway
