// Goal: the small decisions of the front door: which route, which deployment, which directory, which number.
// Method: tables; no sockets. The whole door is tested in tests/e2e.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/ids.h"
#include "base/unique_fd.h"
#include "gateway/admin_wire.h"
#include "gateway/data_dir.h"
#include "gateway/deployments.h"
#include "gateway/router.h"
#include "gateway/still_exchange.h"

namespace dormouse::gateway {
namespace {

Route route(std::string method, std::string pattern) {
  return {std::move(method), std::move(pattern), Access::kAdmin, {}};
}

TEST(Router, APathHasOneSpellingAndParametersOneSegment) {
  Router router;
  router.add(route("GET", "/v1/models"));
  router.add(route("GET", "/v1/models/{model}"));
  router.add(route("POST", "/admin/v1/deployments/{name}/wake"));
  struct Row {
    const char* method;
    const char* path;
    const char* pattern;  // "" none
    bool path_known;
  };
  for (const Row& row : {Row{"GET", "/v1/models", "/v1/models", true}, Row{"HEAD", "/v1/models", "/v1/models", true},
                         Row{"GET", "/v1/models/demo", "/v1/models/{model}", true}, Row{"POST", "/v1/models", "", true},
                         Row{"GET", "/v1/models/", "", false}, Row{"GET", "/v1/models/a/b", "", false},
                         Row{"GET", "/V1/models", "", false}, Row{"GET", "/", "", false}, Row{"GET", "", "", false},
                         Row{"GET", "/v1", "", false},
                         Row{"POST", "/admin/v1/deployments/x/wake", "/admin/v1/deployments/{name}/wake", true},
                         Row{"POST", "/admin/v1/deployments//wake", "", false}}) {
    StillExchange exchange(row.method, row.path);
    Call call(exchange);
    router.match(call);
    EXPECT_EQ(call.route != nullptr ? call.route->pattern : "", row.pattern) << row.method << " " << row.path;
    EXPECT_EQ(call.path_known, row.path_known) << row.method << " " << row.path;
  }
}

Deployment deployment(std::string name, std::string image) {
  Deployment out;
  out.name = std::move(name);
  out.image = std::move(image);
  return out;
}

TEST(Deployments, AModelIsANameAnAliasOrAnImage) {
  Deployments book;
  Deployment demo = deployment("demo", "qwen3-demo:q8_0");
  demo.rules.aliases = {"gpt-4o-mini"};
  book.put(demo);
  ASSERT_NE(book.resolve(""), nullptr);
  for (const char* model : {"demo", "gpt-4o-mini", "qwen3-demo:q8_0", "qwen3:demo-q8_0", "qwen3-demo",
                            "qwen3-demo:latest", "demo:latest", "gpt-4o-mini:latest"}) {
    ASSERT_NE(book.resolve(model), nullptr) << model;
    EXPECT_EQ(book.resolve(model)->name, "demo");
  }
  EXPECT_EQ(book.resolve("qwen3-demo:q4_k_m"), nullptr);
  EXPECT_EQ(book.resolve("Demo"), nullptr);
  book.put(deployment("own", "file:Own-Model.gguf"));
  EXPECT_EQ(book.resolve(""), nullptr);  // two: the caller must say which
  ASSERT_NE(book.resolve("own-model"), nullptr);
  EXPECT_EQ(book.resolve("own-model")->name, "own");
  book.put(deployment("demo2", "qwen3-demo:q8_0"));
  EXPECT_EQ(book.resolve("qwen3-demo"), nullptr);  // two run it
  EXPECT_EQ(book.resolve("demo2")->name, "demo2");
}

TEST(Deployments, ThroughAPublicDoorAPrivateOneIsNotThere) {
  Deployments book;
  Deployment hidden = deployment("hidden", "qwen3-demo:q8_0");
  hidden.rules.aliases = {"gpt-4o"};
  book.put(hidden);
  for (const char* model : {"", "hidden", "gpt-4o", "qwen3-demo", "qwen3-demo:q8_0"}) {
    EXPECT_NE(book.resolve(model, Reach::kPrivate), nullptr) << model;
    EXPECT_NE(book.resolve(model, Reach::kSocket), nullptr) << model;
    EXPECT_EQ(book.resolve(model, Reach::kPublic), nullptr) << model;
  }
  Deployment shown = deployment("shown", "qwen3-demo:q8_0");
  shown.rules.exposure = "public";
  book.put(shown);
  EXPECT_EQ(book.resolve(""), nullptr);
  ASSERT_NE(book.resolve("", Reach::kPublic), nullptr) << "the only one such a caller knows of";
  EXPECT_EQ(book.resolve("", Reach::kPublic)->name, "shown");
  EXPECT_EQ(book.resolve("qwen3-demo"), nullptr);
  ASSERT_NE(book.resolve("qwen3-demo", Reach::kPublic), nullptr) << "an image that two run, one of them unseen";
  EXPECT_EQ(book.resolve("hidden", Reach::kPublic), nullptr);
}

TEST(Deployments, AWordMeansOneDeployment) {
  Deployments book;
  Deployment demo = deployment("demo", "qwen3-demo:q8_0");
  demo.rules.aliases = {"gpt-4o-mini"};
  book.put(demo);
  Deployment other = deployment("other", "qwen3-demo:q8_0");
  EXPECT_TRUE(book.check_words(other).has_value());
  for (const char* taken : {"demo", "gpt-4o-mini"}) {
    other.rules.aliases = {"free", taken};
    const Status status = book.check_words(other);
    ASSERT_FALSE(status.has_value()) << taken;
    EXPECT_EQ(status.error().code, Code::kAlreadyExists);
  }
  EXPECT_FALSE(book.check_words(deployment("gpt-4o-mini", "x")).has_value());
  EXPECT_TRUE(book.check_words(demo).has_value()) << "itself, changed";
  while (book.all().size() < kMaxDeployments) book.put(deployment("d" + std::to_string(book.all().size()), "x"));
  EXPECT_EQ(book.check_words(deployment("one-more", "x")).error().code, Code::kInvalidArgument);
  EXPECT_TRUE(book.check_words(demo).has_value());
}

TEST(Deployments, WhatTheLedgerKeepsComesBackWhole) {
  Deployment before = deployment("chat", "file:m.gguf");
  before.model_path = "/m.gguf";
  for (const auto& [key, text] : std::vector<std::pair<const char*, const char*>>{{"aliases", "a,b"},
                                                                                  {"instance_type", "t4"},
                                                                                  {"billing", "mixed"},
                                                                                  {"exposure", "public"},
                                                                                  {"max", "5"},
                                                                                  {"min", "2"},
                                                                                  {"idle_timeout", "auto"},
                                                                                  {"awake", "08:00-20:00"},
                                                                                  {"threads", "3"},
                                                                                  {"worker_arguments", "--isa avx2"}}) {
    ASSERT_TRUE(catalog::set_rule(before.rules, key, *catalog::read_rule_text(key, text)).has_value()) << key;
  }
  ledger::Deployment record = ledger_record(before);
  const Result<Deployment> after = from_record(record);
  ASSERT_TRUE(after.has_value()) << after.error().message;
  EXPECT_EQ(after->rules, before.rules);
  EXPECT_EQ(after->model_path, "/m.gguf");
  for (const char* damaged : {"", "[]", "{", R"({"max":"many"})", R"({"colour":"blue"})", R"({"aliases":[1]})"}) {
    record.rules = damaged;
    const Result<Deployment> refused = from_record(record);
    ASSERT_FALSE(refused.has_value()) << damaged;
    EXPECT_EQ(refused.error().code, Code::kDataLoss);
    EXPECT_NE(refused.error().message.find("chat"), std::string::npos);
  }
  record.rules = "{}";  // of a version before there were rules
  record.idle_timeout_ms = 5'000;
  EXPECT_EQ(from_record(record)->rules.idle_timeout, std::chrono::milliseconds(5'000));
}

TEST(Deployments, TheFleetIsToldEverythingThatConcernsIt) {
  Deployment chat = deployment("chat", "x");
  chat.rules.idle_auto = true;
  chat.rules.awake = {"Mon-Fri 08:55-18:05", "22:00-06:00 +08:00"};
  chat.rules.min_instances = 1;
  chat.rules.max_instances = 4;
  fleet::DeploymentSpec spec = fleet_spec(chat);
  EXPECT_TRUE(spec.idle_auto);
  EXPECT_EQ(spec.idle_timeout, std::chrono::seconds(30));
  EXPECT_EQ(spec.awake_windows.size(), 2U);
  EXPECT_EQ(spec.min_instances, 1);
  EXPECT_EQ(spec.max_instances, 4);
  EXPECT_EQ(spec.driver, "process");
  EXPECT_EQ(spec.max_wait, std::chrono::seconds(30));
  EXPECT_EQ(spec.instance_type, "") << "this machine";
  chat.rules.driver = "rented";
  EXPECT_EQ(fleet_spec(chat).max_wait, std::chrono::minutes(4)) << "it has to boot first";
  chat.rules.max_wait = std::chrono::seconds(45);
  EXPECT_EQ(fleet_spec(chat).max_wait, std::chrono::seconds(45));
  chat.rules.instance_type = "t4";
  EXPECT_EQ(fleet_spec(chat).instance_type, "t4");
}

TEST(Deployments, LimitsBecomeTheWorkersSwitches) {
  catalog::DeploymentRules rules;
  EXPECT_TRUE(worker_arguments(rules).empty());
  rules.context_length = 4096;
  rules.threads = 2;
  rules.worker_arguments = {"--kv-type", "q8"};
  EXPECT_EQ(worker_arguments(rules),
            (std::vector<std::string>{"--max-model-len", "4096", "--threads", "2", "--kv-type", "q8"}));
}

TEST(Deployments, ANameIsMadeFromTheImage) {
  EXPECT_EQ(default_name("qwen3-demo:q8_0"), "qwen3-demo");
  EXPECT_EQ(default_name("file:Qwen3-4B-Q4_K_M.gguf"), "Qwen3-4B-Q4_K_M");
  EXPECT_EQ(default_name("file:my model (2).gguf"), "my-model--2-");
  EXPECT_EQ(default_name("file:睡鼠.gguf"), "model");
  EXPECT_LE(default_name("file:" + std::string(300, 'a') + ".gguf").size(), 63U);
}

TEST(DataDir, ALongPathMovesTheSocketsToAShortOne) {
  EXPECT_EQ(run_directory_for("/data/d", ""), "/data/d/run");
  const std::string long_path = "/" + std::string(120, 'x');
  EXPECT_TRUE(run_directory_for(long_path, "/run/user/1000").starts_with("/run/user/1000/dormouse-"));
  EXPECT_TRUE(run_directory_for(long_path, "").starts_with("/tmp/dormouse-"));
  EXPECT_TRUE(run_directory_for(long_path, long_path).starts_with("/tmp/dormouse-"));
  EXPECT_NE(run_directory_for(long_path, ""), run_directory_for(long_path + "y", ""));
}

TEST(DataDir, ALockThatADeadServersChildStillHoldsIsWaitedFor) {
  const std::string path = (std::filesystem::temp_directory_path() / ("dormouse-lock-" + random_hex(4))).string();
  { ASSERT_TRUE(DataDir::open(path).has_value()); }
  // A pid that no process has: above the kernel's greatest.
  std::ofstream(path + "/lock") << "4194399";
  UniqueFd held(::open((path + "/lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(held.get(), LOCK_EX | LOCK_NB), 0);
  std::thread child([&held] {
    ::poll(nullptr, 0, 100);
    held = UniqueFd();
  });
  EXPECT_TRUE(DataDir::open(path).has_value());
  child.join();
  std::filesystem::remove_all(path);
}

TEST(DataDir, ASecondServerIsRefusedAndALaterOneIsNot) {
  namespace fs = std::filesystem;
  const fs::path path = fs::temp_directory_path() / ("dormouse-data-" + random_hex(6));
  {
    const Result<DataDir> first = DataDir::open(path.string());
    ASSERT_TRUE(first.has_value()) << first.error().message;
    EXPECT_EQ(first->admin_socket(), path.string() + "/run/admin.sock");
    const Result<DataDir> second = DataDir::open(path.string() + "/");
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, Code::kAlreadyExists);
  }
  EXPECT_TRUE(DataDir::open(path.string()).has_value());
  std::error_code ec;
  fs::remove_all(path, ec);
}

TEST(AdminWire, WhatIsWrittenIsRead) {
  StatusView status;
  status.version = "0.1.0";
  status.pid = 7;
  status.now_ms = 1'700'000'000'999;
  status.time_zone = "Asia/Shanghai";
  status.listen = {"127.0.0.1:8080"};
  status.urls = {"https://chat.example.org:8080"};
  DeploymentView d;
  d.name = "demo";
  d.image = "qwen3-demo:q8_0";
  d.state = "ready";
  d.idle_left_s = 12.5;
  d.instances.push_back({.instance_id = "i",
                         .state = "ready",
                         .pid = 9,
                         .isa = "avx2",
                         .alive_s = 1.5,
                         .context_length = 4096,
                         .generated_tokens = 3,
                         .running = 2,
                         .because = "load",
                         .note = "PENDING: Resources",
                         .reachable = false,
                         .wake_load_s = 0.25});
  d.instances[0].cpu_cores = 1.5;
  d.instances[0].resident_bytes = 5'000'000'000;
  d.speed.measured = 12.5;
  d.speed.expected = 30;
  d.speed.is_degraded = true;
  d.speed.since_s = 420;
  d.speed.next_type = "a10";
  d.speed.next_price = "¥3.50/h";
  d.since_ms = 1'700'000'000'123;
  d.tokens_per_second = 38.5;
  d.last_minute = {14, 38.25};
  d.figures = DeploymentFigures{.requests = 3,
                                .output_tokens = 70,
                                .ttft_p50_us = 250'000,
                                .ttft_p95_us = std::nullopt,
                                .currency = "CNY",
                                .today_micros = 4'310'000,
                                .month_micros = 61'200'000,
                                .forecast_micros = 88'000'000,
                                .margin_micros = 9'000'000,
                                .saved_micros = -5};
  status.machine.machine_cores = 4;
  status.machine.memory_available_bytes = 7'000'000'000;
  status.machine.gpus.push_back(
      {.index = 1, .name = "T4", .busy = 0.5, .memory_used_bytes = 1, .memory_total_bytes = 2});
  status.deployments.push_back(d);
  const Result<StatusView> back = parse_status(to_json(status));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->listen, status.listen);
  EXPECT_EQ(back->urls, status.urls);
  ASSERT_EQ(back->deployments.size(), 1U);
  EXPECT_EQ(back->deployments[0].idle_left_s, 12.5);
  EXPECT_EQ(back->deployments[0].since_ms, 1'700'000'000'123);
  EXPECT_EQ(back->deployments[0].tokens_per_second, 38.5);
  EXPECT_EQ(back->deployments[0].last_minute, d.last_minute);
  EXPECT_EQ(back->time_zone, "Asia/Shanghai");
  EXPECT_EQ(back->deployments[0].figures, d.figures);
  EXPECT_EQ(back->now_ms, 1'700'000'000'999);
  EXPECT_FALSE(back->deployments[0].backoff_left_s.has_value());
  ASSERT_EQ(back->deployments[0].instances.size(), 1U);
  EXPECT_EQ(back->deployments[0].instances[0].pid, 9);
  EXPECT_EQ(back->deployments[0].instances[0].note, "PENDING: Resources");
  EXPECT_FALSE(back->deployments[0].instances[0].reachable);
  EXPECT_EQ(back->deployments[0].instances[0].wake_load_s, 0.25);
  EXPECT_EQ(back->deployments[0].instances[0].cpu_cores, 1.5);
  EXPECT_EQ(back->deployments[0].instances[0].resident_bytes, 5'000'000'000);
  EXPECT_EQ(back->deployments[0].speed.measured, 12.5);
  EXPECT_EQ(back->deployments[0].speed.expected, 30.0);
  EXPECT_EQ(speed_note_en(back->deployments[0].speed), speed_note_en(d.speed));
  EXPECT_EQ(back->machine.machine_cores, 4);
  EXPECT_FALSE(back->machine.machine_cpu.has_value());
  EXPECT_EQ(back->machine.memory_available_bytes, 7'000'000'000);
  ASSERT_EQ(back->machine.gpus.size(), 1U);
  EXPECT_EQ(back->machine.gpus[0].busy, 0.5);
  EXPECT_FALSE(parse_status("[]").has_value());
  EXPECT_FALSE(parse_new_deployment(R"({"name":"a b","image":"x"})").has_value());
  EXPECT_FALSE(parse_new_deployment(R"({"name":"a"})").has_value());
  EXPECT_TRUE(parse_new_deployment(R"({"image":"x"})").has_value());
}

TEST(AdminWire, RulesAndChangesAreReadAsTheyWereWritten) {
  NewDeployment wish{.name = "chat", .image = "x", .rules = {}};
  wish.rules.max_instances = 3;
  wish.rules.aliases = {"a"};
  wish.rules.idle_auto = true;
  const Result<NewDeployment> back = parse_new_deployment(to_json(wish));
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(back->rules, wish.rules);
  DeploymentView view;
  view.name = "chat";
  view.rules = wish.rules;
  view.defined_by = "dormouse.toml";
  const Result<DeploymentView> seen = parse_deployment(to_json(view));
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->rules, view.rules);
  EXPECT_EQ(seen->defined_by, "dormouse.toml");
  const Result<DeploymentChange> change = parse_deployment_change(R"({"max":2,"image":"y","aliases":[]})");
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->image, "y");
  EXPECT_EQ(to_json(*parse_deployment_change(to_json(*change))), to_json(*change));
  for (const char* bad : {"", "[]", R"({"colour":1})", R"({"max":1.5})", R"({"max":true})", R"({"image":1})",
                          R"({"max":1,"max":2})", R"({"aliases":{"a":1}})"}) {
    EXPECT_FALSE(parse_deployment_change(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace dormouse::gateway
