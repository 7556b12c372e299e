// Goal: readings find what real providers print, and nonsense is an error or nothing. Method: answers in the shapes of
// three providers, then malformed ones.
#include "fleet/drivers/answer.h"

#include <gtest/gtest.h>

#include "fleet/drivers/template_text.h"
#include "fleet/worker_command.h"

namespace dormouse::fleet {
namespace {

Reading reading(const std::string& text) {
  Result<Reading> out = Reading::parse(text);
  EXPECT_TRUE(out.has_value()) << text;
  return out.has_value() ? *out : Reading();
}

std::string value(const std::string& text, const std::string& how) {
  const Reading parsed = reading(how);
  const AnswerForm form = parsed.kind == Reading::Kind::kJson ? AnswerForm::kJson : AnswerForm::kText;
  const Result<Answer> answer = Answer::parse(text, form);
  if (!answer.has_value()) return "error";
  return answer->value(parsed).value_or("none");
}

TEST(Answer, ReadsIdsWhereProvidersPutThem) {
  EXPECT_EQ(value(R"({"InstanceIdSets":{"InstanceIdSet":["i-bp1"]},"RequestId":"x"})",
                  "json:/InstanceIdSets/InstanceIdSet/0"),
            "i-bp1");
  EXPECT_EQ(value(R"({"Instances":[{"InstanceId":"i-0abc","State":{"Code":0}}]})", "json:/Instances/*/InstanceId"),
            "i-0abc");
  EXPECT_EQ(value("pod \"r7x\" created for $0.240 / hr\n", "between:pod \"|\" created"), "r7x");
  EXPECT_EQ(value("7 cats\n", "column:2"), "cats");
  EXPECT_EQ(value(R"({"n":{"id":42}})", "json:/n/id"), "42");
  EXPECT_EQ(
      value(R"({"Tags":[{"Key":"x","Value":"1"},{"Key":"dormouse","Value":"2"}]})", "json:/Tags/[Key=dormouse]/Value"),
      "2");
  EXPECT_EQ(value(R"({"name":"dormouse-gw-17"})", "json:/name between:dormouse-gw-|"), "17");
}

TEST(Answer, NonsenseIsAnErrorOrNothing) {
  EXPECT_EQ(value("<html>", "json:/a"), "error");
  EXPECT_EQ(value("", "json:/a"), "error");
  EXPECT_EQ(value("{}{}", "json:/a"), "error") << "two answers are none";
  EXPECT_EQ(value(std::string(100'000, '['), "json:/a"), "error");
  EXPECT_EQ(value("{}", "json:/a/b/c"), "none");
  EXPECT_EQ(value(R"({"a":{}})", "json:/a"), "none");
  EXPECT_EQ(value("one", "column:3"), "none");
  EXPECT_EQ(value("pod \"r7x", "between:pod \"|\""), "none");
}

TEST(Answer, ReadingsThatAreNoneSaySo) {
  for (const char* text :
       {"", "x", "json:a", "json:/a//b", "column:0", "column:x", "column:1x", "between:a", "regex:a"}) {
    EXPECT_FALSE(Reading::parse(text).has_value()) << text;
  }
}

TEST(Answer, RowsOfNestedListsAndAnEmptyListIsNoNonsense) {
  const Reading rows = reading("json:/Reservations/*/Instances/*");
  const Reading id = reading("json:/Id");
  const std::vector<const Reading*> fields = {&id, nullptr};
  const auto read = [&](const std::string& text) {
    const Result<Answer> answer = Answer::parse(text, AnswerForm::kJson);
    Result<std::vector<Answer::Row>> out = make_error(Code::kDataLoss, "");
    if (answer.has_value()) out = answer->rows(rows, fields);
    return out;
  };
  const auto found =
      read(R"({"Reservations":[{"Instances":[{"Id":"a"},{"Id":"b"}]},{"Instances":[]},{"Instances":[{"Id":"c"}]}]})");
  ASSERT_TRUE(found.has_value());
  ASSERT_EQ(found->size(), 3U);
  EXPECT_EQ((*found)[2][0], "c");
  EXPECT_EQ((*found)[2][1], std::nullopt);
  EXPECT_EQ(read(R"({"Reservations":[]})")->size(), 0U);
  EXPECT_FALSE(read("{}").has_value()) << "no list is not an empty list";
  EXPECT_FALSE(read(R"({"error":"throttled"})").has_value());
  EXPECT_FALSE(read("null").has_value());
  EXPECT_FALSE(read("7").has_value());
}

TEST(Template, ReplacesOnceAndKnowsItsNames) {
  EXPECT_EQ(filled("a{x}b{{c}{y}", {{"x", "{y}"}, {"y", "2"}}), "a{y}b{c}2");
  EXPECT_TRUE(placeholders_of("--id={id}", {"id"}).has_value());
  const auto unknown = placeholders_of("{typo}", {"id", "type"});
  ASSERT_FALSE(unknown.has_value());
  EXPECT_NE(unknown.error().message.find("{typo}"), std::string::npos) << unknown.error().message;
  EXPECT_FALSE(placeholders_of("{id", {"id"}).has_value());
}

TEST(WorkerCommand, KeepsTheLeaseOutOfTheArgumentsUnlessTold) {
  StartSpec spec;
  spec.deployment = "it's";
  spec.model_path = "/m.gguf";
  spec.lease_token = "secret";
  spec.epoch = 3;
  spec.worker_arguments = {"--threads", "2"};
  WorkerPlace place;
  place.listen = "0.0.0.0:0";
  place.control = "gw:9000";
  place.control_fingerprint = "sha256:ab";
  const WorkerCommand command = worker_command(spec, place);
  EXPECT_EQ(shell_quoted(command.argv),
            "dormouse-worker serve --model /m.gguf --listen 0.0.0.0:0 --control gw:9000 --epoch 3 "
            "--served-model-name 'it'\\''s' --control-fingerprint sha256:ab --lease-ttl 120 --threads 2");
  EXPECT_EQ(command.environment, std::vector<std::string>{"DORMOUSE_LEASE=secret"});
  EXPECT_NE(worker_script(command).find("\nexport DORMOUSE_LEASE=secret\nexec dormouse-worker"), std::string::npos);
  spec.adopt_arguments = {"--max-num-seqs", "4", "--", "llama-server"};
  EXPECT_EQ(shell_quoted(worker_command(spec, place).argv),
            "dormouse-worker adopt --listen 0.0.0.0:0 --control gw:9000 --epoch 3 --served-model-name 'it'\\''s' "
            "--control-fingerprint sha256:ab --lease-ttl 120 --max-num-seqs 4 -- llama-server");
}

}  // namespace
}  // namespace dormouse::fleet
