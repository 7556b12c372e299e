// Goal: deployments come, change and go while the server runs, by API, by verb and by file; a restart keeps them; a
// request that runs notices nothing. Method: the real gateway with fake workers, two model files that answer
// differently.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>

#include "base/clock.h"
#include "base/ids.h"
#include "e2e/running_house.h"
#include "ledger/ledger.h"

namespace dormouse::e2e {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kSoon{10'000};
constexpr const char* kDeployments = "/admin/v1/deployments";

// A house without deployments and two models: "two" answers two tokens, "five" five.
class Deploying : public ::testing::Test {
 protected:
  void SetUp() override {
    setup_.data_dir = (fs::temp_directory_path() / ("dormouse-deploy-" + random_hex(4))).string();
    fs::create_directories(setup_.data_dir);
    write("two.gguf", "fake:tokens=2");
    write("five.gguf", "fake:tokens=5");
    write("slow.gguf", "fake:tokens=40,tokens_per_s=80");
    write("slower.gguf", "fake:tokens=160,tokens_per_s=80");
  }
  void open() {
    house_.emplace(setup_);
    ASSERT_TRUE(house_->is_up()) << house_->log();
  }
  [[nodiscard]] std::string path(const std::string& file) const { return setup_.data_dir + "/" + file; }
  void write(const std::string& file, const std::string& text) const { std::ofstream(path(file)) << text; }
  // As an editor does: a new file, renamed over the old one.
  void replace_config(const std::string& text) const {
    write("data/dormouse.toml.swp", text);
    fs::rename(path("data/dormouse.toml.swp"), path("data/dormouse.toml"));
  }
  [[nodiscard]] std::string entry(const std::string& name, const std::string& file,
                                  const std::string& more = "") const {
    return fmt::format("[[deployment]]\nname = \"{}\"\nimage = \"{}\"\n{}\n", name, path(file), more);
  }
  Answer create(const std::string& name, const std::string& file, const std::string& more = "") {
    return house_->post(kDeployments, fmt::format(R"({{"name":"{}","image":"{}"{}}})", name, path(file), more));
  }
  Answer patch(const std::string& name, const std::string& body) {
    return house_->send("PATCH", fmt::format("{}/{}", kDeployments, name), body);
  }
  Answer remove(const std::string& name) {
    return house_->send("DELETE", fmt::format("{}/{}", kDeployments, name), "");
  }
  int status_of(const std::string& name) { return house_->get(fmt::format("{}/{}", kDeployments, name)).status; }
  // Tokens that a request to this model is billed for; -1: it failed.
  std::int64_t tokens(const std::string& model) {
    const Answer answer = house_->post("/generate", fmt::format(R"({{"model":"{}","prompt":"x"}})", model));
    return answer.status == 200 ? house_->rows().front().settlement.output_tokens : -1;
  }
  std::vector<std::string> notices() {
    return gateway::parse_status(house_->get("/admin/v1/status").body).value_or(gateway::StatusView{}).notices;
  }
  bool soon(const std::function<bool()>& predicate) { return house_->eventually(kSoon, predicate); }

  HouseSetup setup_;
  std::optional<RunningHouse> house_;
};

TEST_F(Deploying, WhatTheApiMakesIsThereAtOnceAndAfterARestart) {
  open();
  const std::string more = R"(,"aliases":["gpt-4o-mini"],"idle_timeout":"90s","min":0,"max":3,"billing":"mixed",)"
                           R"("instance_type":"t4","awake":["Mon-Fri 08:55-18:05"],)"
                           R"("context_length":2048,"worker_arguments":["--kv-type","q8"])";
  ASSERT_EQ(create("chat", "two.gguf", more).status, 200) << house_->log();
  ASSERT_EQ(create("auto", "five.gguf", R"(,"idle_timeout":"auto")").status, 200);
  EXPECT_EQ(create("chat", "five.gguf").status, 409);
  EXPECT_EQ(create("other", "five.gguf", R"(,"aliases":["gpt-4o-mini"])").status, 409);
  EXPECT_EQ(create("gpt-4o-mini", "five.gguf").status, 409);
  EXPECT_EQ(tokens("chat"), 2);
  for (int start = 0; start < 2; ++start) {
    const gateway::DeploymentView chat = house_->deployment("chat");
    EXPECT_EQ(chat.rules.aliases, std::vector<std::string>{"gpt-4o-mini"}) << start;
    EXPECT_EQ(chat.rules.idle_timeout, milliseconds(90'000));
    EXPECT_EQ(chat.rules.max_instances, 3);
    EXPECT_EQ(chat.rules.billing, "mixed");
    EXPECT_EQ(chat.rules.instance_type, "t4");
    EXPECT_EQ(chat.rules.awake, std::vector<std::string>{"Mon-Fri 08:55-18:05"});
    EXPECT_EQ(chat.rules.context_length, 2048);
    EXPECT_EQ(chat.rules.worker_arguments, (std::vector<std::string>{"--kv-type", "q8"}));
    EXPECT_EQ(chat.source, "api");
    EXPECT_TRUE(house_->deployment("auto").rules.idle_auto);
    ASSERT_TRUE(start == 1 || house_->restart()) << house_->log();
  }
  EXPECT_EQ(tokens("gpt-4o-mini"), 2);
  EXPECT_EQ(remove("chat").status, 200);
  ASSERT_TRUE(house_->restart());
  EXPECT_EQ(status_of("chat"), 404);
  EXPECT_EQ(status_of("auto"), 200);
}

TEST_F(Deploying, WhatCannotBeIsRefusedByNameAndChangesNothing) {
  open();
  ASSERT_EQ(create("chat", "two.gguf", R"(,"max":2)").status, 200);
  struct Row {
    const char* body;
    const char* param;
  };
  for (const Row& row :
       {Row{R"({"min":3})", "min"}, Row{R"({"max":65})", "max"}, Row{R"({"max":-1})", "max"},
        Row{R"({"max":"2"})", "max"}, Row{R"({"idle_timeout":"500ms"})", "idle_timeout"},
        Row{R"({"idle_timeout":30})", "idle_timeout"}, Row{R"({"runtime":"exllama"})", "runtime"},
        Row{R"({"driver":"slurm"})", "driver"}, Row{R"({"awake":["tomorrow"]})", "awake"},
        Row{R"({"billing":"free"})", "billing"}, Row{R"({"image":"nothing-like-it"})", "image"},
        Row{R"({"worker_arguments":["--lease","x"]})", "worker_arguments"}, Row{R"({"aliases":[1]})", "aliases"}}) {
    const Answer answer = patch("chat", row.body);
    EXPECT_EQ(answer.status, 400) << row.body << answer.body;
    EXPECT_NE(answer.body.find(fmt::format(R"("param":"{}")", row.param)), std::string::npos) << answer.body;
  }
  const Answer unknown = patch("chat", R"({"colour":"blue"})");
  EXPECT_EQ(unknown.status, 400);
  EXPECT_NE(unknown.body.find("colour"), std::string::npos) << unknown.body;
  EXPECT_EQ(patch("chat", "[]").status, 400);
  EXPECT_EQ(patch("nobody", R"({"max":1})").status, 404);
  EXPECT_EQ(remove("nobody").status, 404);
  EXPECT_EQ(create("x", "two.gguf", R"(,"driver":"slurm")").status, 400);
  EXPECT_EQ(house_->post(kDeployments, R"({"name":"x","image":"/etc/passwd"})").status, 400);
  const gateway::DeploymentView chat = house_->deployment("chat");
  EXPECT_EQ(chat.rules.min_instances, 0);
  EXPECT_EQ(chat.rules.max_instances, 2);
  EXPECT_EQ(chat.rules.runtime, "builtin");
}

TEST_F(Deploying, ByNameByAliasAndByNothingWhenThereIsOne) {
  open();
  ASSERT_EQ(create("short", "two.gguf", R"(,"aliases":["gpt-4o-mini"])").status, 200);
  EXPECT_EQ(house_->post("/generate", R"({"prompt":"x"})").status, 200);
  ASSERT_EQ(create("long", "five.gguf", R"(,"aliases":["gpt-4o"])").status, 200);
  EXPECT_EQ(tokens("short"), 2);
  EXPECT_EQ(tokens("gpt-4o-mini"), 2);
  EXPECT_EQ(tokens("long"), 5);
  EXPECT_EQ(tokens("gpt-4o"), 5);
  EXPECT_EQ(house_->post("/generate", R"({"prompt":"x"})").status, 404) << "two: it must say which";
  ASSERT_EQ(patch("short", R"({"aliases":["tiny"]})").status, 200);
  EXPECT_EQ(tokens("gpt-4o-mini"), -1);
  EXPECT_EQ(tokens("tiny"), 2);
  ASSERT_EQ(patch("short", fmt::format(R"({{"image":"{}"}})", path("five.gguf"))).status, 200);
  EXPECT_TRUE(soon([this] { return tokens("short") == 5; })) << "another model, once the old worker is idle";
}

TEST_F(Deploying, AMinimumWakesAndGoesAndMaximumZeroKeepsAsleep) {
  open();
  ASSERT_EQ(create("chat", "two.gguf").status, 200);
  EXPECT_EQ(house_->deployment("chat").state, "asleep");
  ASSERT_EQ(patch("chat", R"({"min":1})").status, 200);
  EXPECT_TRUE(soon([this] { return house_->deployment("chat").state == "ready"; })) << house_->log();
  EXPECT_EQ(house_->deployment("chat").awake_because, "min");
  ASSERT_EQ(patch("chat", R"({"min":0,"max":0})").status, 200);
  EXPECT_TRUE(soon([this] { return house_->deployment("chat").state == "asleep"; })) << house_->log();
  EXPECT_EQ(tokens("chat"), -1);
}

TEST_F(Deploying, ChangesAndARemovalHarmNoRunningRequest) {
  open();
  ASSERT_EQ(create("chat", "slow.gguf").status, 200);
  std::vector<int> statuses;
  Wish wish;
  wish.method = "POST";
  wish.target = "/v1/chat/completions";
  wish.body = R"({"model":"chat","stream":true,"messages":[{"role":"user","content":"x"}]})";
  std::future<Answer> removal;
  wish.on_piece = [this, &statuses, &removal](const std::string& piece) {
    if (piece.find("w5") == std::string::npos || !statuses.empty()) return true;
    statuses.push_back(patch("chat", R"({"context_length":1024,"aliases":["other"],"idle_timeout":"1s"})").status);
    removal = std::async(std::launch::async, [this] { return remove("chat"); });
    soon([this] { return status_of("chat") == 404; });
    statuses.push_back(house_->post("/generate", R"({"model":"chat","prompt":"x"})").status);
    return true;
  };
  const Answer answer = house_->ask(std::move(wish));
  EXPECT_EQ(statuses, (std::vector<int>{200, 404}));
  EXPECT_TRUE(answer.whole);
  EXPECT_EQ(sse_events(answer.body).back(), "[DONE]");
  EXPECT_NE(answer.body.find("w39"), std::string::npos) << answer.body;
  ASSERT_TRUE(removal.valid());
  EXPECT_EQ(removal.get().status, 200);
  const auto rows = house_->rows();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_TRUE(rows[0].settled);
  EXPECT_EQ(rows[0].settlement.output_tokens, 40);
  EXPECT_EQ(create("chat", "two.gguf").status, 200) << "the name is free again";
  EXPECT_EQ(tokens("chat"), 2);
}

TEST_F(Deploying, ARemovalAnswersWhenTheMemoryIsBack) {
  open();
  ASSERT_EQ(create("chat", "two.gguf", R"(,"min":1)").status, 200);
  ASSERT_TRUE(soon([this] { return house_->deployment("chat").state == "ready"; }));
  const auto worker = static_cast<pid_t>(house_->deployment("chat").instances.at(0).pid);
  EXPECT_EQ(remove("chat").status, 200);
  EXPECT_TRUE(process_gone(worker, milliseconds(0)));
  EXPECT_EQ(remove("chat").status, 404);
}

TEST_F(Deploying, TheVerbs) {
  open();
  const auto [code, made] = house_->run_cli({"deploy", path("two.gguf"), "--on", "local", "--name", "chat", "--alias",
                                             "mini", "--idle-timeout", "5m", "--wake"});
  EXPECT_EQ(code, 0) << made;
  EXPECT_NE(made.find("curl http://127.0.0.1:"), std::string::npos) << made;
  EXPECT_NE(made.find("absorbs a spike"), std::string::npos) << made;
  const auto [ps_code, ps] = house_->run_cli({"ps"});
  EXPECT_NE(ps.find("awake, sleeps in"), std::string::npos) << ps;
  EXPECT_NE(ps.find(" (wake)"), std::string::npos) << ps;
  EXPECT_NE(ps.find("1 of 0–1"), std::string::npos) << ps;
  const auto [json_code, json] = house_->run_cli({"ps", "--format", "json"});
  EXPECT_TRUE(gateway::parse_status(json).has_value()) << json;
  const auto [set_code, set] = house_->run_cli({"set", "chat", "idle-timeout=auto", "max=3", "aliases=mini,tiny"});
  EXPECT_EQ(set_code, 0) << set;
  for (const char* line : {"5m -> auto", "1 -> 3", "mini -> mini, tiny"}) {
    EXPECT_NE(set.find(line), std::string::npos) << set;
  }
  EXPECT_EQ(tokens("tiny"), 2);
  const auto [unknown_code, unknown] = house_->run_cli({"set", "chat", "colour=blue"});
  EXPECT_EQ(unknown_code, 2);
  EXPECT_NE(unknown.find("idle_timeout"), std::string::npos) << unknown;
  EXPECT_EQ(house_->run_cli({"set", "chat", "max"}).first, 2);
  EXPECT_EQ(house_->run_cli({"set", "chat", "driver=slurm"}).first, 1);
  EXPECT_EQ(house_->run_cli({"set", "nobody", "max=1"}).first, 1);
  EXPECT_EQ(house_->run_cli({"deploy", path("two.gguf"), "--name", "chat"}).first, 1);
  EXPECT_EQ(house_->run_cli({"deploy", path("two.gguf"), "--min", "2"}).first, 2);
  EXPECT_EQ(house_->run_cli({"rm", "chat"}).first, 2) << "no terminal: it must not guess";
  const auto [rm_code, removed] = house_->run_cli({"rm", "chat", "--yes", "--lang", "zh"});
  EXPECT_EQ(rm_code, 0) << removed;
  EXPECT_NE(removed.find("已删除"), std::string::npos) << removed;
  const auto [odd_code, odd] = house_->run_cli({"deploy", path("two.gguf"), "--name", "odd", "--on", "mars"});
  EXPECT_EQ(odd_code, 0) << odd;
  EXPECT_NE(odd.find("no instance type is called 'mars'"), std::string::npos) << odd;
  EXPECT_EQ(made.find("no instance type"), std::string::npos) << made;
  house_->signal(SIGTERM);
  ASSERT_TRUE(house_->wait_exit(kSoon).has_value());
  EXPECT_EQ(house_->run_cli({"deploy", path("two.gguf")}).first, 3);
  EXPECT_EQ(house_->run_cli({"rm", "chat", "--yes"}).first, 3);
}

TEST_F(Deploying, TheFileIsFollowed) {
  open();
  ASSERT_EQ(create("own", "two.gguf").status, 200);
  replace_config(entry("a", "two.gguf", "aliases = [\"first\"]") + entry("b", "five.gguf"));
  ASSERT_TRUE(soon([this] { return status_of("b") == 200; })) << house_->log();
  EXPECT_EQ(house_->deployment("a").source, "file");
  EXPECT_EQ(tokens("first"), 2);
  EXPECT_EQ(tokens("b"), 5);
  for (const Answer& answer : {patch("a", R"({"max":2})"), remove("a")}) {
    EXPECT_EQ(answer.status, 409);
    EXPECT_NE(answer.body.find("dormouse.toml"), std::string::npos) << answer.body;
  }
  // Written in place, as `cat >` does: a changed, b gone.
  write("data/dormouse.toml", entry("a", "two.gguf", "max = 4"));
  ASSERT_TRUE(soon([this] { return status_of("b") == 404; })) << house_->log();
  EXPECT_EQ(house_->deployment("a").rules.max_instances, 4);
  EXPECT_EQ(tokens("first"), -1);
  EXPECT_EQ(tokens("a"), 2);
  EXPECT_EQ(status_of("own"), 200) << "what the API made is not the file's";
  ASSERT_TRUE(house_->restart());
  EXPECT_EQ(house_->deployment("a").rules.max_instances, 4);
  EXPECT_EQ(status_of("own"), 200);
}

TEST_F(Deploying, ANameTakenOutAndPutBackUnderAStreamComesBackByItself) {
  open();
  replace_config(entry("a", "slower.gguf"));
  ASSERT_TRUE(soon([this] { return status_of("a") == 200; })) << house_->log();
  bool done = false;
  std::vector<std::string> said;
  Wish wish;
  wish.method = "POST";
  wish.target = "/v1/chat/completions";
  wish.body = R"({"model":"a","stream":true,"messages":[{"role":"user","content":"x"}]})";
  wish.on_piece = [this, &done, &said](const std::string& piece) {
    if (done || piece.find("w3") == std::string::npos) return true;
    done = true;
    replace_config("");
    soon([this] { return status_of("a") == 404; });
    replace_config(entry("a", "two.gguf"));
    soon([this, &said] {
      said = notices();
      return !said.empty();
    });
    return true;
  };
  const Answer answer = house_->ask(std::move(wish));
  EXPECT_TRUE(answer.whole);
  EXPECT_NE(answer.body.find("w159"), std::string::npos) << answer.body;
  ASSERT_EQ(said.size(), 1U);
  EXPECT_NE(said[0].find("still drains"), std::string::npos) << said[0];
  EXPECT_TRUE(soon([this] { return status_of("a") == 200; })) << house_->log();
  EXPECT_EQ(tokens("a"), 2);
  EXPECT_TRUE(notices().empty());
}

TEST_F(Deploying, ABrokenFileChangesNothingAndSaysSo) {
  open();
  replace_config(entry("a", "two.gguf"));
  ASSERT_TRUE(soon([this] { return status_of("a") == 200; })) << house_->log();
  struct Row {
    std::string text;
    const char* says;
  };
  for (const Row& row :
       {Row{entry("a", "five.gguf") + "[[deployment", "line"}, Row{entry("a", "five.gguf", "maxx = 2"), "maxx"},
        Row{entry("a", "five.gguf") + entry("b", "missing.gguf"), "missing.gguf"},
        Row{entry("a", "five.gguf", "runtime = \"exllama\""), "exllama"},
        Row{entry("a", "five.gguf") + entry("b", "two.gguf", "aliases = [\"a\"]"), "already means"}}) {
    replace_config(row.text);
    ASSERT_TRUE(soon([this, &row] {
      const std::vector<std::string> said = notices();
      return said.size() == 1 && said[0].find(row.says) != std::string::npos;
    })) << row.says
        << house_->log();
    EXPECT_EQ(status_of("b"), 404) << row.says;
    EXPECT_EQ(tokens("a"), 2) << row.says;
  }
  EXPECT_NE(house_->run_cli({"ps"}).second.find("! "), std::string::npos);
  EXPECT_NE(house_->run_cli({"doctor"}).second.find("already means"), std::string::npos);
  EXPECT_NE(house_->log().find("event=config_refused"), std::string::npos);
  fs::remove(path("data/dormouse.toml"));
  ASSERT_TRUE(soon([this] { return notices().size() == 1 && notices()[0].find("No such file") != std::string::npos; }));
  EXPECT_EQ(tokens("a"), 2) << "a file that is gone is no order to stop";
  replace_config("listen = [\"127.0.0.1:9\"]\n" + entry("a", "five.gguf"));
  ASSERT_TRUE(soon([this] { return notices().size() == 1 && notices()[0].find("restart") != std::string::npos; }));
  EXPECT_TRUE(soon([this] { return tokens("a") == 5; }));
  const std::string driver = "[driver.hpc]\nkind = \"slurm\"\n";
  replace_config(entry("a", "five.gguf") + driver);
  EXPECT_TRUE(soon([this] { return notices().size() == 1 && notices()[0].find("[driver.hpc]") != std::string::npos; }));
  replace_config(entry("a", "five.gguf") + driver + "partitoin = \"x\"\n");
  EXPECT_TRUE(soon([this] {
    const std::vector<std::string> told = notices();
    return !told.empty() && told.back().find("driver.hpc.partitoin") != std::string::npos;
  })) << "before the restart that would not come up with it";
  replace_config("worker_listen = [\"127.0.0.1:9\"]\n" + entry("a", "five.gguf"));
  EXPECT_TRUE(soon([this] { return notices().size() == 1 && notices()[0].find("worker_listen") != std::string::npos; }));
}

TEST_F(Deploying, SighupReadsTheFileAndEndsNothing) {
  open();
  replace_config(entry("a", "two.gguf"));
  ASSERT_TRUE(soon([this] { return status_of("a") == 200; })) << house_->log();
  const auto loads = [this] {
    std::size_t count = 0;
    const std::string log = house_->log();
    for (std::size_t at = log.find("event=config_loaded"); at != std::string::npos; ++count) {
      at = log.find("event=config_loaded", at + 1);
    }
    return count;
  };
  const std::size_t before = loads();
  house_->signal(SIGHUP);
  EXPECT_TRUE(soon([&] { return loads() == before + 1; })) << house_->log();
  EXPECT_EQ(tokens("a"), 2);
}

TEST_F(Deploying, TheFileTakesANameOverAndADamagedRowIsSaid) {
  fs::create_directories(path("data"));
  {
    const SystemClock clock;
    ledger::Options options;
    options.path = path("data/ledger.db");
    options.clock = &clock;
    const auto book = ledger::Ledger::open(options).value();
    for (const char* name : {"good", "taken", "damaged"}) {
      ledger::Deployment record;
      record.name = name;
      record.image = "file:two.gguf";
      record.model_path = path("two.gguf");
      if (record.name == "damaged") record.rules = R"({"max":"many"})";
      std::promise<Status> written;
      book->put_deployment(record, [&written](Status status) { written.set_value(std::move(status)); });
      ASSERT_TRUE(written.get_future().get().has_value());
    }
  }
  write("data/dormouse.toml", entry("taken", "five.gguf"));
  open();
  EXPECT_EQ(tokens("good"), 2);
  EXPECT_EQ(tokens("taken"), 5);
  EXPECT_EQ(house_->deployment("taken").source, "file");
  EXPECT_EQ(status_of("damaged"), 404);
  ASSERT_EQ(notices().size(), 1U);
  EXPECT_NE(notices()[0].find("damaged could not be restored: "), std::string::npos) << notices()[0];
  EXPECT_EQ(create("damaged", "five.gguf").status, 200);
  EXPECT_EQ(tokens("damaged"), 5);
}

}  // namespace
}  // namespace dormouse::e2e
