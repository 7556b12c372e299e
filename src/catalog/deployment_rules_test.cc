// Goal: a key means the same in a file, in JSON and on the command line; what cannot be is refused with the key's name
// and changes nothing. Method: tables of values.
#include "catalog/deployment_rules.h"

#include <gtest/gtest.h>

namespace dormouse::catalog {
namespace {

using List = std::vector<std::string>;

TEST(DeploymentRules, EveryKeyReadsBackAsItWasTyped) {
  struct Row {
    const char* key;
    const char* text;
  };
  DeploymentRules rules;
  for (const Row& row : {Row{"aliases", "a, b"},
                         Row{"runtime", "ollama"},
                         Row{"driver", "command"},
                         Row{"instance_type", "t4"},
                         Row{"billing", "monthly"},
                         Row{"exposure", "public"},
                         Row{"max", "5"},
                         Row{"min", "2"},
                         Row{"idle_timeout", "90s"},
                         Row{"keep_alive_max", "1h"},
                         Row{"max_wait", "2m"},
                         Row{"max_wait", "default"},
                         Row{"lease_ttl", "30s"},
                         Row{"scale_window", "10s"},
                         Row{"awake", "Mon-Fri 08:55-18:05; Sat 10:00-12:00"},
                         Row{"context_length", "4096"},
                         Row{"max_sequences", "8"},
                         Row{"threads", "2"},
                         Row{"expected_tokens_per_second", "30"},
                         Row{"worker_arguments", "--kv-type q8"},
                         Row{"requests_per_minute", "60"},
                         Row{"tokens_per_minute", "100000"},
                         Row{"concurrency", "4"},
                         Row{"budget", "50CNY/month"}}) {
    const Result<FieldValue> value = read_rule_text(row.key, row.text);
    ASSERT_TRUE(value.has_value()) << row.key;
    ASSERT_TRUE(set_rule(rules, row.key, *value).has_value()) << row.key;
    const Field* const field = find_field(row.key);
    ASSERT_NE(field, nullptr);
    EXPECT_EQ(rule_text(rule_value(rules, *field), *field), row.text);
  }
  EXPECT_TRUE(check_rules(rules).has_value());
  EXPECT_EQ(rule_fields().size(), 23U) << "a new key needs a row above";
}

TEST(DeploymentRules, AHyphenIsAnUnderscoreAndOneTextIsAList) {
  DeploymentRules rules;
  EXPECT_TRUE(set_rule(rules, "idle-timeout", FieldValue(std::string("auto"))).has_value());
  EXPECT_TRUE(rules.idle_auto);
  EXPECT_EQ(idle_text(rules), "auto");
  EXPECT_TRUE(set_rule(rules, "idle_timeout", FieldValue(std::string("10m"))).has_value());
  EXPECT_FALSE(rules.idle_auto);
  EXPECT_TRUE(set_rule(rules, "aliases", FieldValue(std::string("one"))).has_value());
  EXPECT_EQ(rules.aliases, List{"one"});
  EXPECT_EQ(std::get<List>(*read_rule_text("aliases", "")), List{}) << "an empty text clears a list";
}

TEST(DeploymentRules, WhatCannotBeIsRefusedByNameAndChangesNothing) {
  struct Row {
    const char* key;
    FieldValue value;
    const char* says;
  };
  const std::vector<Row> table{{"max", FieldValue(std::int64_t{65}), "0 to 64"},
                               {"min", FieldValue(std::int64_t{-1}), "0 to 64"},
                               {"max", FieldValue(std::string("2")), "wrong type"},
                               {"idle_timeout", FieldValue(std::string("999ms")), "shorter than a second"},
                               {"idle_timeout", FieldValue(std::string("soon")), "or auto"},
                               {"max_wait", FieldValue(std::string("0s")), "want 1s to 10m"},
                               {"max_wait", FieldValue(std::string("11m")), "want 1s to 10m"},
                               {"lease_ttl", FieldValue(std::string("1s")), "want 2s to 1d"},
                               {"lease_ttl", FieldValue(std::string("25h")), "want 2s to 1d"},
                               {"lease_ttl", FieldValue(std::string("2500ms")), "fraction of a second"},
                               {"lease_ttl", FieldValue(std::string("long")), "lease_ttl: "},
                               {"lease_ttl", FieldValue(std::int64_t{120}), "wrong type"},
                               {"scale_window", FieldValue(std::string("6m")), "want 1s to 5m"},
                               {"keep_alive_max", FieldValue(std::string("8d")), "want 0s to 7d"},
                               {"keep_alive_max", FieldValue(std::string("for ever")), "keep_alive_max: "},
                               {"worker_arguments", FieldValue(List{"--lease-ttl=5"}), "set by dormouse itself"},
                               {"runtime", FieldValue(std::string("tgi")), "llama-server"},
                               {"driver", FieldValue(std::string("a b")), "no name"},
                               {"billing", FieldValue(std::string("yearly")), "mixed"},
                               {"exposure", FieldValue(std::string("world")), "private"},
                               {"instance_type", FieldValue(std::string("a b")), "no name"},
                               {"aliases", FieldValue(List{""}), "empty"},
                               {"aliases", FieldValue(List{"a\nb"}), "empty"},
                               {"aliases", FieldValue(List(65, "a")), "more than 64"},
                               {"worker_arguments", FieldValue(List{"--lease", "x"}), "--lease"},
                               {"worker_arguments", FieldValue(List{"--listen=0.0.0.0:1"}), "--listen"},
                               {"threads", FieldValue(std::int64_t{1} << 40), "range"},
                               {"requests_per_minute", FieldValue(std::int64_t{-1}), "0 to 10000000000"},
                               {"tokens_per_minute", FieldValue(kMaxPerMinute + 1), "range"},
                               {"concurrency", FieldValue(std::string("4")), "wrong type"},
                               {"budget", FieldValue(std::string("50")), "50CNY/month"},
                               {"colour", FieldValue(std::string("blue")), "idle_timeout"}};
  DeploymentRules rules;
  for (const Row& row : table) {
    const Status status = set_rule(rules, row.key, row.value);
    ASSERT_FALSE(status.has_value()) << row.key;
    EXPECT_EQ(status.error().code, Code::kInvalidArgument);
    EXPECT_NE(status.error().message.find(row.key), std::string::npos) << status.error().message;
    EXPECT_NE(status.error().message.find(row.says), std::string::npos) << status.error().message;
  }
  EXPECT_EQ(rules, DeploymentRules{});
  EXPECT_FALSE(read_rule_text("max", "two").has_value());
  EXPECT_FALSE(read_rule_text("colour", "blue").has_value());
  rules.min_instances = 2;
  EXPECT_FALSE(check_rules(rules).has_value());
}

TEST(Budget, IsReadToTheMicroAndWrittenTheSame) {
  struct Row {
    const char* text;
    std::int64_t micros;
    const char* written;
  };
  for (const Row& row : {Row{"50CNY/month", 50'000'000, "50CNY/month"}, Row{"2.50 USD/day", 2'500'000, "2.5USD/day"},
                         Row{"0.000001EUR/day", 1, "0.000001EUR/day"}, Row{"none", 0, ""}, Row{"", 0, ""},
                         Row{"1000000000CNY/month", kMaxBudgetMicros, "1000000000CNY/month"}}) {
    const Result<BudgetRule> budget = parse_budget(row.text);
    ASSERT_TRUE(budget.has_value()) << row.text;
    EXPECT_EQ(budget->micros, row.micros) << row.text;
    EXPECT_EQ(budget_text(*budget), row.written);
    EXPECT_EQ(*parse_budget(budget_text(*budget)), *budget);
  }
  for (const char* bad : {"50", "CNY/month", "50CNY", "50CNY/year", "50cny/month", "50CNYX/month", "0CNY/month",
                          "-1CNY/month", "1.CNY/month", ".5CNY/month", "1.0000001CNY/month", "1e9CNY/month",
                          "1000000000.1CNY/month", "99999999999999999999CNY/month", " 50CNY/month", "50CNY/month "}) {
    const Result<BudgetRule> budget = parse_budget(bad);
    ASSERT_FALSE(budget.has_value()) << bad;
    EXPECT_EQ(budget.error().code, Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace dormouse::catalog
