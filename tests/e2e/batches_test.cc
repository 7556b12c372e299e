// Goal: deferred work wakes nobody before it must, runs when somebody else has woken an instance, and each request has
// exactly one result and is paid once, whatever dies meanwhile; what a key made is that key's. Method: the real gateway
// with fake workers, killed at named points and at no particular one.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <csignal>
#include <map>
#include <set>

#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

constexpr milliseconds kSoon{30'000};

std::string requests(int count, const std::string& model = "chat") {
  std::string out;
  for (int i = 0; i < count; ++i) {
    out += R"({"custom_id":"r)" + std::to_string(i) +
           R"(","method":"POST","url":"/v1/chat/completions","body":{"model":")" + model +
           R"(","max_tokens":2,"messages":[{"role":"user","content":"x"}]}})" + "\n";
  }
  return out;
}

class Batches : public ::testing::Test {
 protected:
  void open(HouseSetup setup = {}) {
    if (setup.fakes.empty()) setup.fakes = {{"chat", "tokens=2"}, {"other", "tokens=2"}};
    house_.emplace(std::move(setup));
    ASSERT_TRUE(house_->is_up()) << house_->log();
  }
  Answer ask(const std::string& method, const std::string& target, const std::string& body = "",
             const std::string& type = "application/json") {
    Wish wish;
    wish.method = method;
    wish.target = target;
    wish.body = body;
    wish.headers = {{"content-type", type}};
    if (!key_.empty()) wish.headers.emplace_back("authorization", "Bearer " + key_);
    return house_->ask(std::move(wish));
  }
  std::string upload(const std::string& content, const std::string& purpose = "batch") {
    const Answer answer = ask("POST", "/v1/files",
                              "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n" + purpose +
                                  "\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n"
                                  "Content-Type: application/jsonl\r\n\r\n" +
                                  content + "\r\n--b--\r\n",
                              "multipart/form-data; boundary=b");
    EXPECT_EQ(answer.status, purpose == "batch" ? 200 : 400) << answer.body;
    return answer.status == 200 ? text(json::parse(answer.body), "id") : std::string();
  }
  Answer create(const std::string& file, const std::string& window = "24h") {
    return ask("POST", "/v1/batches",
               R"({"input_file_id":")" + file + R"(","endpoint":"/v1/chat/completions","completion_window":")" +
                   window + R"(","metadata":{"why":"test"}})");
  }
  json::value batch(const std::string& id) {
    const Answer answer = ask("GET", "/v1/batches/" + id);
    EXPECT_EQ(answer.status, 200) << answer.body << house_->log();
    return answer.status == 200 ? json::parse(answer.body) : json::value(json::object());
  }
  std::string status(const std::string& id) {
    const json::value shown = batch(id);
    return shown.as_object().contains("status") ? text(shown, "status") : std::string();
  }
  static std::string text(const json::value& value, const char* name) {
    return std::string(value.at(name).as_string());
  }
  static std::int64_t count(const json::value& batch, const char* name) {
    return batch.at("request_counts").at(name).to_number<std::int64_t>();
  }
  // How often each custom_id has a line in the file.
  std::map<std::string, int> results(const std::string& file) {
    const Answer answer = ask("GET", "/v1/files/" + file + "/content");
    EXPECT_EQ(answer.status, 200) << answer.body;
    std::map<std::string, int> out;
    std::size_t begin = 0;
    for (std::size_t end = answer.body.find('\n'); end != std::string::npos; end = answer.body.find('\n', begin)) {
      out[text(json::parse(answer.body.substr(begin, end - begin)), "custom_id")] += 1;
      begin = end + 1;
    }
    EXPECT_EQ(begin, answer.body.size());
    return out;
  }
  // Which requests of the ledger the file's lines were.
  std::set<std::string> paid_by(const std::string& file) {
    const std::string body = ask("GET", "/v1/files/" + file + "/content").body;
    std::set<std::string> out;
    std::size_t begin = 0;
    for (std::size_t end = body.find('\n'); end != std::string::npos; end = body.find('\n', begin)) {
      const json::value line = json::parse(body.substr(begin, end - begin));
      out.insert(text(line.at("response"), "request_id"));
      begin = end + 1;
    }
    return out;
  }
  bool wake() {
    const bool woken =
        ask("POST", "/v1/chat/completions", R"({"model":"chat","messages":[{"role":"user","content":"x"}]})").status ==
        200;
    wakes_ += woken ? 1 : 0;
    return woken;
  }

  int wakes_ = 0;  // that were answered
  std::optional<RunningHouse> house_;
  std::string key_;
};

TEST_F(Batches, WorkWaitsForAnInstanceThatSomebodyElseWakes) {
  open();
  const std::string file = upload(requests(9));
  const Answer made = create(file);
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string id = text(json::parse(made.body), "id");
  EXPECT_FALSE(house_->eventually(milliseconds(2'500), [&] { return status(id) != "in_progress"; }));
  EXPECT_EQ(house_->deployment("chat").wakes, 0) << "a batch of a day must not wake it in its first seconds";
  EXPECT_EQ(count(batch(id), "completed"), 0);
  EXPECT_EQ(ask("DELETE", "/v1/files/" + file).status, 409) << "it is still to be read";
  ASSERT_TRUE(wake());
  ASSERT_TRUE(house_->eventually(kSoon, [&] { return status(id) == "completed"; })) << house_->log();
  const json::value done = batch(id);
  EXPECT_EQ(count(done, "total"), 9);
  EXPECT_EQ(count(done, "completed"), 9);
  EXPECT_TRUE(done.at("error_file_id").is_null());
  EXPECT_EQ(text(done.at("metadata"), "why"), "test");
  const std::map<std::string, int> lines = results(text(done, "output_file_id"));
  ASSERT_EQ(lines.size(), 9U);
  for (const auto& [custom_id, times] : lines) EXPECT_EQ(times, 1) << custom_id;
  EXPECT_EQ(house_->rows().size(), 10U) << "each request is on the books, as everybody's";
  EXPECT_EQ(house_->deployment("chat").wakes, 1);
  EXPECT_EQ(ask("DELETE", "/v1/files/" + file).status, 200);
  EXPECT_EQ(ask("GET", "/v1/files/" + file).status, 404);
  const Answer listed = ask("GET", "/v1/files?limit=1");
  EXPECT_EQ(json::parse(listed.body).at("data").as_array().size(), 1U) << listed.body;
}

TEST_F(Batches, TheDeadlineWakesIt) {
  open();
  const Answer made = create(upload(requests(3)), "60s");
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string id = text(json::parse(made.body), "id");
  ASSERT_TRUE(house_->eventually(milliseconds(60'000), [&] { return status(id) == "completed"; })) << house_->log();
  const json::value done = batch(id);
  const auto at = [&done](const char* name) { return done.at(name).to_number<std::int64_t>(); };
  EXPECT_GE(at("in_progress_at") - at("created_at"), 25) << "it waited for half its window";
  EXPECT_LT(at("completed_at"), at("expires_at"));
  EXPECT_EQ(count(done, "completed"), 3);
}

TEST_F(Batches, EachRequestHasOneResultAndIsPaidOnceThroughEveryDeath) {
  HouseSetup slow;
  slow.fakes = {{"chat", "tokens=2,tokens_per_s=20"}};
  open(std::move(slow));
  const Answer made = create(upload(requests(60)));
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string id = text(json::parse(made.body), "id");
  for (const char* point : {"batch.answered:3", "batch.written:5", "batch.answered:1", ""}) {
    house_->set_environment({std::string("DORMOUSE_CRASHPOINT=") + point});
    ASSERT_TRUE(house_->restart(SIGKILL)) << house_->log();
    [[maybe_unused]] const bool woken = wake();
    if (std::string(point).empty()) {
      ASSERT_TRUE(house_->eventually(kSoon, [&] { return count(batch(id), "completed") > 12; })) << house_->log();
      continue;
    }
    ASSERT_TRUE(house_->eventually(kSoon, [&] { return house_->wait_exit(milliseconds(0)).has_value(); })) << point;
  }
  house_->set_environment({"DORMOUSE_CRASHPOINT=batch.ending:1"});
  ASSERT_TRUE(house_->restart(SIGKILL)) << house_->log();
  [[maybe_unused]] const bool woken = wake();
  ASSERT_TRUE(house_->eventually(kSoon, [&] { return house_->wait_exit(milliseconds(0)).has_value(); }));
  house_->set_environment({});
  ASSERT_TRUE(house_->start_again()) << house_->log();
  ASSERT_TRUE(wake());
  ASSERT_TRUE(house_->eventually(kSoon, [&] { return status(id) == "completed"; })) << house_->log();
  const std::map<std::string, int> lines = results(text(batch(id), "output_file_id"));
  EXPECT_EQ(lines.size(), 60U);
  for (const auto& [custom_id, times] : lines) EXPECT_EQ(times, 1) << custom_id;
  // Of the attempts that a death took nothing is left on the bill, and of those with a line everything.
  std::set<std::string> unpaid = paid_by(text(batch(id), "output_file_id"));
  EXPECT_EQ(unpaid.size(), 60U);
  int others = 0;
  for (const ledger::RequestRow& row : house_->rows()) {
    const bool is_paid = row.settled && row.settlement.outcome == ledger::Outcome::kOk && !row.refunded;
    if (!is_paid) continue;
    EXPECT_EQ(row.settlement.output_tokens, 2);
    others += unpaid.erase(row.request_id) == 0 ? 1 : 0;
  }
  EXPECT_TRUE(unpaid.empty()) << unpaid.size() << " have a result and are free, as " << *unpaid.begin();
  EXPECT_LE(others, wakes_) << "paid, and no line of the batch";
}

TEST_F(Batches, WhatCannotBeAnsweredIsInTheErrorFileAndABadFileFailsAtOnce) {
  open();
  std::string lines = requests(2);
  lines += R"({"custom_id":"bad","method":"POST","url":"/v1/chat/completions","body":{"model":"chat","messages":[]}})";
  const std::string id = text(json::parse(create(upload(lines)).body), "id");
  ASSERT_TRUE(wake());
  ASSERT_TRUE(house_->eventually(kSoon, [&] { return status(id) == "completed"; })) << house_->log();
  EXPECT_EQ(count(batch(id), "completed"), 2);
  EXPECT_EQ(count(batch(id), "failed"), 1);
  EXPECT_EQ(results(text(batch(id), "error_file_id")), (std::map<std::string, int>{{"bad", 1}}));
  const Answer failed = create(upload("not json\n"));
  EXPECT_EQ(failed.status, 200);
  EXPECT_EQ(text(json::parse(failed.body), "status"), "failed");
  EXPECT_EQ(json::parse(failed.body).at("errors").at("data").at(0).at("line").to_number<int>(), 1);
  EXPECT_EQ(create("file-none").status, 400);
  EXPECT_EQ(create(upload(requests(1)), "9d").status, 400);
  upload(requests(1), "fine-tune");
  EXPECT_EQ(ask("POST", "/v1/files", "{}").status, 415);
  EXPECT_EQ(ask("GET", "/v1/batches/none").status, 404);
}

TEST_F(Batches, ACancelledBatchEndsWithWhatItHas) {
  open();
  const std::string waiting = text(json::parse(create(upload(requests(5))).body), "id");
  EXPECT_EQ(ask("POST", "/v1/batches/" + waiting + "/cancel").status, 200);
  ASSERT_TRUE(house_->eventually(kSoon, [&] { return status(waiting) == "cancelled"; })) << house_->log();
  EXPECT_EQ(house_->deployment("chat").wakes, 0);
  EXPECT_EQ(ask("POST", "/v1/batches/" + waiting + "/cancel").status, 400) << "it is over";
  ASSERT_TRUE(house_->restart()) << house_->log();
  EXPECT_EQ(status(waiting), "cancelled");
}

TEST_F(Batches, WhatAKeyMadeIsThatKeysAndOnItsBill) {
  open();
  const auto create_key = [&](const std::string& name) {
    auto [code, out] = house_->run_cli({"keys", "create", "--name", name});
    EXPECT_EQ(code, 0) << out;
    out.pop_back();
    return out;
  };
  const std::string first = create_key("first");
  const std::string second = create_key("second");
  key_ = first;
  const std::string file = upload(requests(3));
  const std::string id = text(json::parse(create(file).body), "id");
  key_ = second;
  EXPECT_EQ(ask("GET", "/v1/files/" + file).status, 404);
  EXPECT_EQ(ask("GET", "/v1/files/" + file + "/content").status, 404);
  EXPECT_EQ(ask("DELETE", "/v1/files/" + file).status, 404);
  EXPECT_EQ(ask("GET", "/v1/batches/" + id).status, 404);
  EXPECT_EQ(ask("POST", "/v1/batches/" + id + "/cancel").status, 404);
  EXPECT_EQ(create(file).status, 400);
  EXPECT_EQ(json::parse(ask("GET", "/v1/files").body).at("data").as_array().size(), 0U);
  EXPECT_EQ(json::parse(ask("GET", "/v1/batches").body).at("data").as_array().size(), 0U);
  ASSERT_TRUE(wake());
  key_ = first;
  ASSERT_TRUE(house_->eventually(kSoon, [&] { return status(id) == "completed"; })) << house_->log();
  // The batch is on its maker's bill, the request that woke the instance on the other's.
  const auto [code, usage] = house_->run_cli({"usage", "--by", "key", "--format", "json"});
  ASSERT_EQ(code, 0) << usage;
  std::map<std::string, std::int64_t> made;
  const json::value report = json::parse(usage);
  for (const json::value& row : report.at("rows").as_array()) {
    const std::string kid = text(row, "key_id");
    const bool is_first = first.find(kid) != std::string::npos;
    made[is_first ? "first" : "second"] += row.at("requests").to_number<std::int64_t>();
  }
  EXPECT_EQ(made, (std::map<std::string, std::int64_t>{{"first", 3}, {"second", 1}})) << usage;
}

}  // namespace
}  // namespace dormouse::e2e
