// Goal: dormouse.toml says what was meant or is refused with the key's name. Method: tables of texts.
#include "catalog/config_file.h"

#include <gtest/gtest.h>

namespace dormouse::catalog {
namespace {

using std::chrono::milliseconds;

TEST(ConfigFile, DurationsReadAsWritten) {
  EXPECT_EQ(*parse_duration("250ms"), milliseconds(250));
  EXPECT_EQ(*parse_duration("90s"), milliseconds(90'000));
  EXPECT_EQ(*parse_duration("10m"), milliseconds(600'000));
  EXPECT_EQ(*parse_duration("1h"), milliseconds(3'600'000));
  EXPECT_EQ(*parse_duration("2d"), milliseconds(172'800'000));
  EXPECT_EQ(*parse_duration("0"), milliseconds(0));
  EXPECT_EQ(*parse_duration("45"), milliseconds(45'000));
  for (const char* text : {"0s", "250ms", "1s", "90s", "10m", "1h", "2d"}) {
    EXPECT_EQ(duration_text(*parse_duration(text)), text);
  }
  for (const char* bad : {"", "m", "-1s", "10 m", "10x", "1.5h", "9223372036854775807h", "99999999999999999999"}) {
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
  }
}

TEST(ConfigFile, ReadsEveryKey) {
  const auto config = parse_config(R"(
listen = ["127.0.0.1:8080", "[::1]:8080"]
ollama_listen = ["127.0.0.1:11434"]
admin_listen = ["127.0.0.1:8081"]
hosts = ["chat.example.org"]
cors = ["https://app.example.org", "http://localhost:3000"]
behind_proxy = ["10.0.0.0/8"]
tls_cert = "/etc/c.pem"
tls_key = "/etc/k.pem"
models_dir = "/srv/models"
idle_timeout = "3m"
[[deployment]]
name = "chat"
image = "qwen3-demo:q8_0"
idle_timeout = "30s"
aliases = ["gpt-4o-mini"]
context_length = 4096
max_sequences = 8
threads = 2
runtime = "vllm"
driver = "slurm"
instance_type = "gpu-t4.small"
billing = "mixed"
exposure = "public"
min = 1
max = 3
awake = ["Mon-Fri 08:55-18:05"]
worker_arguments = ["--kv-type", "q8"]
[[deployment]]
name = "other"
image = "qwen3-demo"
idle_timeout = "auto"
)",
                                   "dormouse.toml");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->listen.size(), 2U);
  EXPECT_EQ(config->ollama_listen, std::vector<std::string>{"127.0.0.1:11434"});
  EXPECT_EQ(config->admin_listen, std::vector<std::string>{"127.0.0.1:8081"});
  EXPECT_EQ(config->hosts, std::vector<std::string>{"chat.example.org"});
  EXPECT_EQ(config->cors.size(), 2U);
  EXPECT_EQ(config->behind_proxy, std::vector<std::string>{"10.0.0.0/8"});
  EXPECT_EQ(config->tls_cert, "/etc/c.pem");
  EXPECT_EQ(config->tls_key, "/etc/k.pem");
  EXPECT_EQ(config->models_dir, "/srv/models");
  EXPECT_EQ(config->idle_timeout, milliseconds(180'000));
  ASSERT_EQ(config->deployments.size(), 2U);
  EXPECT_EQ(config->deployments[0].name, "chat");
  const DeploymentRules& rules = config->deployments[0].rules;
  EXPECT_EQ(rules.idle_timeout, milliseconds(30'000));
  EXPECT_EQ(rules.aliases, std::vector<std::string>{"gpt-4o-mini"});
  EXPECT_EQ(rules.context_length, 4096);
  EXPECT_EQ(rules.max_sequences, 8);
  EXPECT_EQ(rules.threads, 2);
  EXPECT_EQ(rules.runtime, "vllm");
  EXPECT_EQ(rules.driver, "slurm");
  EXPECT_EQ(rules.instance_type, "gpu-t4.small");
  EXPECT_EQ(rules.billing, "mixed");
  EXPECT_EQ(rules.exposure, "public");
  EXPECT_EQ(rules.min_instances, 1);
  EXPECT_EQ(rules.max_instances, 3);
  EXPECT_EQ(rules.awake, std::vector<std::string>{"Mon-Fri 08:55-18:05"});
  EXPECT_EQ(rules.worker_arguments, (std::vector<std::string>{"--kv-type", "q8"}));
  EXPECT_TRUE(config->deployments[1].rules.idle_auto);
  EXPECT_FALSE(config->deployments[1].rules.idle_timeout.has_value());
}

TEST(ConfigFile, ReportsHaveAZoneAndAnEndOfDetail) {
  EXPECT_EQ(parse_config("", "x")->retention, std::chrono::hours(180 * 24));
  EXPECT_EQ(parse_config("", "x")->batches, BatchKeeping{});
  const ConfigFile batches = parse_config("[batches]\nkeep = \"7d\"\nmost_bytes = \"500MiB\"", "x").value();
  EXPECT_EQ(batches.batches, (BatchKeeping{.keep = std::chrono::hours(7 * 24), .most_bytes = 500 << 20}));
  EXPECT_EQ(parse_config("[batches]\nkeep = 0\nmost_bytes = 4096", "x")->batches,
            (BatchKeeping{.keep = std::chrono::milliseconds(0), .most_bytes = 4096}));
  EXPECT_EQ(parse_config("[ledger]\nretention = \"32d\"", "x")->retention, std::chrono::hours(32 * 24));
  EXPECT_EQ(parse_config("[ledger]\nretention = 0", "x")->retention.count(), 0);
  EXPECT_EQ(parse_config("[ledger]\nretention = \"0s\"", "x")->retention.count(), 0);
  EXPECT_TRUE(parse_config("[ledger]\nretention = 0", "x")->driver_text.empty());
  EXPECT_EQ(report_zone(*parse_config("time_zone = \"Asia/Kathmandu\"", "x")).name(), "Asia/Kathmandu");
  EXPECT_FALSE(report_zone({}).name().empty());
}

TEST(ConfigFile, PricesHaveACurrencyRatesAndWhatStandsAround) {
  const auto config = parse_config(R"([prices]
currency = "USD"
rates = ["CNY=0.14"]
around = ["gateway-host=30 CNY/month", "disk=5/month"]
)",
                                   "x");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->prices.currency, "USD");
  EXPECT_EQ(config->prices.rates.convert(1'000'000, "CNY", "USD").value(), 140'000);
  const std::vector<Surrounding> around{{"gateway-host", 30'000'000, "CNY"}, {"disk", 5'000'000, "USD"}};
  EXPECT_EQ(config->prices.around, around);
  EXPECT_EQ(sum_surroundings(around, "USD", config->prices.rates).value(), 9'200'000);
  EXPECT_EQ(parse_config("", "x")->prices.currency, "CNY");
  EXPECT_FALSE(parse_config("", "x")->prices.rates.convert(1, "USD", "CNY").has_value());
}

TEST(ConfigFile, AFileThatIsNoneIsATypedError) {
  EXPECT_EQ(read_config("/nowhere/dormouse.toml").error().code, Code::kNotFound);
  EXPECT_EQ(read_config("/tmp").error().code, Code::kPermissionDenied);
}

TEST(ConfigFile, ATypoIsAnErrorThatNamesTheKey) {
  struct Row {
    const char* text;
    const char* says;
  };
  for (const Row& row :
       {Row{"idel_timeout = \"3m\"", "idel_timeout"},
        Row{"idle_timeout = 3", "idle_timeout"},
        Row{"idle_timeout = \"3 minutes\"", "3 minutes"},
        Row{"[[deployment]]\nname = \"a\"\nimage = \"x\"\nmax = true", "max"},
        Row{"[[deployment]]\nname = \"a b\"\nimage = \"x\"", "name"},
        Row{"[[deployment]]\nname = \"a\"", "image"},
        Row{"[[deployment]]\nname = \"a\"\nimage = \"x\"\n[[deployment]]\nname = \"a\"\nimage = \"y\"", "'a'"},
        Row{"[[deployment]]\nname = \"a\"\nimage = \"x\"\nthreads = -1", "range"},
        Row{"[[deployment]]\nname = \"a\"\nimage = \"x\"\nmin = 2", "more than max"},
        Row{"[[deployment]]\nname = \"a\"\nimage = \"x\"\ndriver = \"a cloud\"", "no name"},
        Row{"[[deployment]]\nname = \"a\"\nimage = \"x\"\nidle_timeout = \"10ms\"", "second"},
        Row{"[[deployment]]\nname = \"a\"\nimage = \"x\"\naliases = 3", "aliases"},
        Row{"[unknown]\nx = 1", "unknown"},
        Row{"time_zone = \"Mars/Base\"", "time_zone"},
        Row{"time_zone = \"../../etc/passwd\"", "time_zone"},
        Row{"[ledger]\nretention = \"10d\"", "at least"},
        Row{"[batches]\nkeep = \"10m\"", "at least"},
        Row{"[batches]\nkeep = 30", "keep"},
        Row{"[batches]\nmost_bytes = \"1GB\"", "most_bytes"},
        Row{"[batches]\nmost_bytes = \"9999999TiB\"", "most_bytes"},
        Row{"[batches]\nmost_bytes = 0", "most_bytes"},
        Row{"[batches]\nmost = 1", "most"},
        Row{"[ledger]\nretention = 180", "retention"},
        Row{"[ledger]\nretention = -1", "retention"},
        Row{"[ledger]\nkeep = \"180d\"", "keep"},
        Row{"[prices]\ncurency = \"CNY\"", "curency"},
        Row{"[prices]\ncurrency = \"\"", "[prices]: currency"},
        Row{"[prices]\ncurrency = 7", "currency"},
        Row{"[prices]\nrates = \"USD=7.10\"", "rates"},
        Row{"[prices]\nrates = [\"USD=0\"]", "'USD=0'"},
        Row{"[prices]\nUSD = 7.10", "USD"},
        Row{"[prices]\naround = [\"disk=5\"]", "around: 'disk=5'"},
        Row{"[prices]\naround = [\"disk=5/month\", \"disk=6/month\"]", "'disk'"},
        Row{"prices = [\"USD=7\"]", "prices"},
        Row{"[[prices]]\ncurrency = \"CNY\"", "prices"},
        Row{"listen = [1]", "listen"},
        Row{"x = 1979-05-27", "x"},
        Row{"listen = [", "line 1"}}) {
    const auto config = parse_config(row.text, "dormouse.toml");
    ASSERT_FALSE(config.has_value()) << row.text;
    EXPECT_EQ(config.error().code, Code::kInvalidArgument);
    EXPECT_NE(config.error().message.find(row.says), std::string::npos) << config.error().message;
  }
}

TEST(ConfigFile, AlertsAreReadAndTheirMistakesNamed) {
  const auto config = parse_config(R"(
[[alert]]
kind = "dingtalk"
url = "https://oapi.dingtalk.com/robot/send?access_token=T"
secret = "SEC"
events = ["failed", "degraded"]
[[alert]]
kind = "slack"
url = "https://hooks.slack.com/services/A"
language = "zh"
ca_file = "/ca.pem"
)",
                                   "dormouse.toml");
  ASSERT_TRUE(config.has_value()) << config.error().message;
  ASSERT_EQ(config->alerts.size(), 2U);
  EXPECT_EQ(config->alerts[0].secret, "SEC");
  EXPECT_EQ(config->alerts[0].events.size(), 2U);
  EXPECT_EQ(config->alerts[1].language, "zh");
  EXPECT_EQ(config->alerts[1].ca_file, "/ca.pem");
  for (const char* bad :
       {"[[alert]]\nkind = \"slack\"", "[[alert]]\nurl = \"https://SECRET\"",
        "[[alert]]\nkind = \"slack\"\nurl = \"https://SECRET\"\nurgent = true",
        "[[alert]]\nkind = \"slack\"\nurl = \"https://SECRET\"\nlanguage = \"fr\"",
        "[[alert]]\nkind = \"slack\"\nurl = \"https://SECRET\"\nsecret = 5", "[alert]\nkind = \"slack\""}) {
    const auto refused = parse_config(bad, "dormouse.toml");
    ASSERT_FALSE(refused.has_value()) << bad;
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
    EXPECT_EQ(refused.error().message.find("SECRET"), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace dormouse::catalog
