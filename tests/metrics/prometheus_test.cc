// Goal: what we export, draw and alert on is what a real Prometheus reads. Method: a gateway with fake workers and an
// invented GPU has some traffic; promtool judges its /metrics and the alert rules, whose unit tests it runs; then a
// Prometheus scrapes it, and every expression of the Grafana board is asked of it: each must be understood and have an
// answer.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "base/ids.h"
#include "e2e/running_house.h"
#include "http/hmac.h"

namespace dormouse::e2e {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kPrometheus = "/usr/bin/prometheus";
constexpr const char* kPromtool = "/usr/bin/promtool";
// Scrapes of a second, so that a rate has its two samples soon.
constexpr const char* kRateInterval = "10s";

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

// A folder in /tmp, gone with the object.
struct TemporaryFolder {
  TemporaryFolder() : path((fs::temp_directory_path() / ("dormouse-prom-" + random_hex(6))).string()) {
    fs::create_directories(path);
  }
  ~TemporaryFolder() {
    std::error_code ec;
    fs::remove_all(path, ec);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string path;
};

// Runs a shell line to its end, at most a minute; exit code and output.
std::pair<int, std::string> run_line(const std::string& line, const std::string& folder) {
  const std::string path = folder + "/out";
  const UniqueFd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600));
  SubprocessOptions options;
  options.argv = {"/bin/sh", "-c", line};
  options.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8"};
  options.output_fd = file.get();
  Result<Subprocess> child = Subprocess::spawn(options);
  if (!child.has_value()) return {-1, child.error().message};
  pollfd watched{.fd = child->pidfd(), .events = POLLIN, .revents = 0};
  ::poll(&watched, 1, 60'000);
  const Result<ExitStatus> status = child->try_wait();
  return {status.has_value() ? status->exit_code : -1, read_file(path)};
}

Task<void> fetch_into(http::Client& client, http::Address address, std::string target, std::string& out) {
  http::ClientRequest request;
  request.target = std::move(target);
  const Result<std::unique_ptr<http::ClientResponse>> response =
      co_await client.send(std::move(address), std::move(request));
  if (!response.has_value()) co_return;
  const Result<std::string> body = co_await (*response)->read_all();
  if (body.has_value()) out = *body;
}

json::value fetch(const http::Address& address, const std::string& target) {
  std::string body;
  asio::io_context io{1};
  {
    http::Client client(io);
    asio::co_spawn(io, fetch_into(client, address, target, body), asio::detached);
    io.run();
  }
  boost::system::error_code ec;
  json::value root = json::parse(body, ec);
  return ec ? json::value(nullptr) : root;
}

// A Prometheus that scrapes one gateway every second, on a port of the system's choice.
class RunningPrometheus {
 public:
  RunningPrometheus(const std::string& target, const std::string& folder) : log_(folder + "/prometheus.log") {
    std::ofstream(folder + "/prometheus.yml") << fmt::format(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}/alerts.yml']\n"
        "scrape_configs:\n  - job_name: dormouse\n    static_configs: [{{targets: ['{}']}}]\n",
        DEPLOY_PROMETHEUS, target);
    const UniqueFd file(::open(log_.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600));
    SubprocessOptions options;
    options.argv = {kPrometheus, "--config.file=" + folder + "/prometheus.yml", "--storage.tsdb.path=" + folder + "/db",
                    "--web.listen-address=127.0.0.1:0"};
    options.environment = {"PATH=/usr/bin:/bin"};
    options.output_fd = file.get();
    Result<Subprocess> child = Subprocess::spawn(options);
    if (child.has_value()) process_.emplace(*std::move(child));
  }
  // Known once it says so in its log.
  std::optional<http::Address> address() const {
    const std::string text = read_file(log_);
    const std::string key = "msg=\"Listening on\" address=";
    const std::size_t at = text.find(key);
    if (at == std::string::npos) return std::nullopt;
    const std::size_t begin = at + key.size();
    const auto parsed = http::Address::parse(text.substr(begin, text.find_first_of(" \n", begin) - begin));
    return parsed.has_value() ? std::optional<http::Address>(*parsed) : std::nullopt;
  }
  [[nodiscard]] std::string log() const { return read_file(log_); }

 private:
  std::string log_;
  std::optional<Subprocess> process_;
};

struct Query {
  std::string panel;
  std::string expression;
};

std::vector<Query> queries_of(const json::value& board) {
  std::vector<Query> out;
  for (const json::value& panel : board.at("panels").as_array()) {
    const json::value* const targets = panel.as_object().if_contains("targets");
    if (targets == nullptr) continue;
    for (const json::value& target : targets->as_array()) {
      std::string text(target.at("expr").as_string());
      text = replaced(text, "$__rate_interval", kRateInterval);
      text = replaced(text, "$__range", "1m");
      text = replaced(text, "$deployment", ".*");
      EXPECT_EQ(text.find('$'), std::string::npos) << "a variable this test does not know: " << text;
      out.push_back({std::string(panel.at("title").as_string()), std::move(text)});
    }
  }
  return out;
}

class PrometheusTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access(kPromtool, X_OK) != 0 || ::access(kPrometheus, X_OK) != 0) {
      GTEST_SKIP()
          << "prometheus is not installed (apt-get install --no-install-recommends prometheus): metrics, board "
             "and alert rules are not checked against it";
    }
  }
  TemporaryFolder folder_;
};

TEST_F(PrometheusTest, TheRulesAreRulesAndPassTheirOwnTests) {
  const std::string at = DEPLOY_PROMETHEUS;
  for (const std::string& line : {"check rules " + at + "/alerts.yml", "test rules " + at + "/alerts_test.yml",
                                  "check config " + at + "/prometheus.yml"}) {
    const auto [code, output] = run_line(fmt::format("{} {}", kPromtool, line), folder_.path);
    EXPECT_EQ(code, 0) << line << "\n" << output;
    EXPECT_NE(output.find("SUCCESS"), std::string::npos) << output;
  }
  // Every alert has a test that raises it.
  const std::string rules = read_file(at + "/alerts.yml");
  const std::string tests = read_file(at + "/alerts_test.yml");
  std::istringstream lines(rules);
  int alerts = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string key = "- alert: ";
    const std::size_t found = line.find(key);
    if (found == std::string::npos) continue;
    ++alerts;
    const std::string name = line.substr(found + key.size());
    const std::size_t test = tests.find("alertname: " + name + "\n        exp_alerts:\n");
    EXPECT_NE(test, std::string::npos) << name << " is never expected to be raised";
  }
  EXPECT_GE(alerts, 11);
}

// A gateway with one good deployment, one that cannot load, a price, and a GPU of the test's making.
HouseSetup busy_house(const std::string& folder) {
  fs::create_directories(folder + "/lib");
  std::ofstream(folder + "/chat.gguf") << "fake:load_ms=30,tokens_per_s=400,tokens=8";
  std::ofstream(folder + "/broken.gguf") << "fake:fail_load=1";
  fs::create_symlink(TEST_NVML, folder + "/lib/libnvidia-ml.so.1");
  HouseSetup setup;
  setup.data_dir = folder;
  setup.config = fmt::format(
      "[[instance]]\nname = \"local\"\nhour = \"1.80\"\ncurrency = \"CNY\"\n"
      "[[deployment]]\nname = \"chat\"\nimage = \"{0}/chat.gguf\"\nexpected_tokens_per_second = 300\n"
      "[[deployment]]\nname = \"broken\"\nimage = \"{0}/broken.gguf\"\n",
      folder);
  setup.environment = {"LD_LIBRARY_PATH=" + folder + "/lib"};
  setup.extra = {"--watch-period", "200ms"};
  return setup;
}

void make_traffic(RunningHouse& house) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(house.post("/generate", R"({"model":"chat","prompt":"x"})").status, 200);
    EXPECT_EQ(house
                  .post("/v1/chat/completions",
                        R"({"model":"chat","stream":true,"messages":[{"role":"user","content":"x"}]})")
                  .status,
              200);
  }
  EXPECT_EQ(house.post("/generate", R"({"model":"nobody","prompt":"x"})").status, 404);
  EXPECT_GE(house.post("/generate", R"({"model":"broken","prompt":"x"})").status, 500);
}

// Lint knows better names than vLLM's; whatever else it says counts.
void expect_only_vllm_lint(const std::string& output) {
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    const bool is_colon = line.starts_with("vllm:") && line.find("':'") != std::string::npos;
    EXPECT_TRUE(line.empty() || is_colon) << line;
  }
}

TEST_F(PrometheusTest, EveryPanelOfTheBoardHasAnAnswer) {
  RunningHouse house(busy_house(folder_.path + "/house"));
  ASSERT_TRUE(house.is_up()) << house.log();
  make_traffic(house);
  std::ofstream(folder_.path + "/metrics.txt") << house.get("/metrics").body;
  const auto [code, output] =
      run_line(fmt::format("{} check metrics < {}/metrics.txt 2>&1", kPromtool, folder_.path), folder_.path);
  EXPECT_TRUE(code == 0 || code == 3) << output;  // 3: lint has remarks
  expect_only_vllm_lint(output);

  const gateway::StatusView status = gateway::parse_status(house.get("/admin/v1/status").body).value();
  const RunningPrometheus prometheus(status.listen.front(), folder_.path);
  ASSERT_TRUE(house.eventually(seconds(30), [&] { return prometheus.address().has_value(); })) << prometheus.log();
  const http::Address address = *prometheus.address();
  const auto ask = [&address](const std::string& expression) {
    return fetch(address, "/api/v1/query?query=" + http::percent_encode(expression));
  };
  const auto has_data = [&ask](const std::string& expression) {
    const json::value answer = ask(expression);
    return answer.is_object() && answer.at("status") == "success" && !answer.at("data").at("result").as_array().empty();
  };
  ASSERT_TRUE(house.eventually(seconds(30), [&] { return has_data("up{job=\"dormouse\"} == 1"); })) << prometheus.log();
  make_traffic(house);  // between two scrapes, so that rates are of something

  const std::vector<Query> queries = queries_of(json::parse(read_file(DEPLOY_GRAFANA "/dormouse.json")));
  EXPECT_GE(queries.size(), 30U);
  for (const Query& query : queries) {
    const json::value answer = ask(query.expression);
    ASSERT_TRUE(answer.is_object()) << query.panel;
    EXPECT_EQ(answer.at("status"), "success") << query.panel << ": " << json::serialize(answer);
    EXPECT_TRUE(house.eventually(seconds(20), [&] { return has_data(query.expression); }))
        << query.panel << " is empty: " << query.expression;
  }
  const json::value rules = fetch(address, "/api/v1/rules");
  ASSERT_TRUE(rules.is_object());
  for (const json::value& rule : rules.at("data").at("groups").at(0).at("rules").as_array()) {
    EXPECT_EQ(rule.at("health"), "ok") << json::serialize(rule);
  }
  EXPECT_TRUE(
      house.eventually(seconds(10), [&] { return has_data("dormouse_gpu_utilization_ratio{gpu=\"2\"} == 0.42"); }));
}

TEST_F(PrometheusTest, AScrapeWakesNothingAndKeepsNothingAwake) {
  HouseSetup setup;
  setup.fakes = {{"chat", "load_ms=1,tokens=2"}};
  setup.idle_timeout = "1s";
  setup.extra = {"--watch-period", "50ms"};
  RunningHouse house(std::move(setup));
  ASSERT_TRUE(house.is_up()) << house.log();
  EXPECT_EQ(house.metric("dormouse_deployment_state{deployment=\"chat\",state=\"asleep\"}"), 1);
  ASSERT_EQ(house.post("/generate", R"({"prompt":"x"})").status, 200);
  EXPECT_TRUE(house.eventually(seconds(20), [&house] {
    return house.metric("dormouse_deployment_state{deployment=\"chat\",state=\"asleep\"}") == 1;
  })) << "scraped all the while";
  EXPECT_EQ(house.metric("dormouse_instance_wakes_total{deployment=\"chat\",reason=\"request\"}"), 1);
  const std::int64_t idle = house.metric("dormouse_instance_awake_seconds_total{deployment=\"chat\",state=\"idle\"}");
  EXPECT_GE(idle, 1) << "the second it waited for more";
  EXPECT_EQ(house.metric("vllm:num_requests_waiting{model_name=\"chat\"}"), 0);
  EXPECT_TRUE(house.eventually(seconds(5), [&house] { return house.metric("dormouse_machine_cores") == -1; }))
      << "asleep, the system is not looked at";
}

}  // namespace
}  // namespace dormouse::e2e
