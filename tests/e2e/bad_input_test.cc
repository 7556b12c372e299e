// Goal: through the door of every dialect, each boundary of each sampling field and each way JSON can be wrong gets 400
// with the code and the parameter that name it, or is served; no prompt is too long for a typed answer; and the engine
// that has seen all of it is the one that was started (T-45..T-49). Method: tables, sent to the real program with the
// real worker and the demo model; with the fake worker where these are not there. What one parser makes of each value:
// api/request_test.cc, gateway/dialect/ollama_test.cc.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "e2e/running_house.h"

namespace dormouse::e2e {
namespace {

namespace json = boost::json;
using Values = std::vector<std::string>;

enum class Door { kGenerate, kChat, kCompletions, kOllamaChat, kOllamaGenerate };
constexpr Door kDoors[] = {Door::kGenerate, Door::kChat, Door::kCompletions, Door::kOllamaChat, Door::kOllamaGenerate};

const char* path_of(Door door) {
  switch (door) {
    case Door::kGenerate: return "/generate";
    case Door::kChat: return "/v1/chat/completions";
    case Door::kCompletions: return "/v1/completions";
    case Door::kOllamaChat: return "/api/chat";
    case Door::kOllamaGenerate: return "/api/generate";
  }
  return "";
}

bool is_ollama(Door door) {
  return door == Door::kOllamaChat || door == Door::kOllamaGenerate;
}

// A request for `prompt`, given as JSON, without its closing brace.
std::string open_request(Door door, const std::string& prompt = "\"x\"") {
  const bool is_chat = door == Door::kChat || door == Door::kOllamaChat;
  return is_chat ? fmt::format(R"({{"model":"demo","messages":[{{"role":"user","content":{}}}])", prompt)
                 : fmt::format(R"({{"model":"demo","prompt":{})", prompt);
}

struct Case {
  Door door = Door::kGenerate;
  std::string body;
  std::string code;   // empty: it is served
  std::string param;  // empty: null
};

// The member where the dialect has it; the answer is one token long unless the member itself says how long.
std::string with_member(Door door, const std::string& name, const std::string& value) {
  const std::string limit = is_ollama(door) ? "num_predict" : "max_tokens";
  std::string members = fmt::format(R"("{}":{})", name, value);
  if (name != limit) members += fmt::format(R"(,"{}":1)", limit);
  return open_request(door) + (is_ollama(door) ? ",\"options\":{" + members + "}}" : "," + members + "}");
}

struct Field {
  const char* openai;  // nullptr: the dialect has none
  const char* ollama;
  Values good;
  Values bad;
};

const std::vector<Field>& numbers() {
  static const std::vector<Field> kNumbers{
      {"temperature",
       "temperature",
       {"0", "-0.0", "1e-300", "2"},
       {"-1", "-1e-9", "2.0000001", "1e308", "1e400", "-1e400", "99999999999999999999"}},
      {"top_p", "top_p", {"1", "1e-300"}, {"0", "-0.0", "2", "1.0000001", "-1"}},
      {"top_k", "top_k", {"0", "-1", "5.0", "2147483647"}, {"-2", "2147483648", "1.5", "1e300"}},
      {"min_p", "min_p", {"0", "1"}, {"-0.01", "1.01"}},
      {"repetition_penalty", "repeat_penalty", {"2", "1e-9"}, {"0", "-1", "2.1"}},
      {"presence_penalty", "presence_penalty", {"-2", "2"}, {"-2.01", "2.01"}},
      {"frequency_penalty", "frequency_penalty", {"-2", "2"}, {"-2.01", "2.01"}},
      {"seed",
       "seed",
       {"0", "-1", "9223372036854775807", "-9223372036854775808"},
       {"9223372036854775808", "18446744073709551616", "-9223372036854775809", "1.5"}},
      {"max_tokens", nullptr, {"1", "9223372036854775807"}, {"0", "-1", "9223372036854775808", "1.5", "1e30"}},
      {nullptr, "num_predict", {"1", "-1", "9223372036854775807"}, {"-3", "9223372036854775808", "1.5", "1e30"}},
      {nullptr, "num_ctx", {"0", "2048"}, {"-1", "1.5"}},
      {"n", nullptr, {"1", "1.0"}, {"0", "9", "-1", "1000000000", "1.5"}},
  };
  return kNumbers;
}

std::string many(const std::string& piece, std::size_t count, const char* separator = "") {
  std::string out;
  out.reserve((piece.size() + 1) * count);
  for (std::size_t i = 0; i < count; ++i) out.append(i > 0 ? separator : "").append(piece);
  return out;
}

const std::vector<Field>& others() {
  static const std::vector<Field> kOthers{
      {"stop",
       "stop",
       {"[]", R"("a")", R"(["a","b"])"},
       {R"("")", R"([""])", "5", R"(["a",5])", "{}", "[null]", "\"" + std::string(1'025, 's') + "\"",
        "[" + many(R"("s")", 100'000, ",") + "]"}},
      {"logit_bias",
       nullptr,
       {"{}", R"({"0":-100,"2147483647":100})"},
       {R"({"2147483648":1})", R"({"-1":1})", R"({"a":1})", R"({"":1})", R"({"1":101})", R"({"1":-100.5})",
        R"({"1":"5"})", R"({"1":1,"01":2})", "[]", "5"}},
      {"stream", nullptr, {"false", "true", "null"}, {"1", R"("true")", "[]"}},
      {"stream_options", nullptr, {"null", "{}"}, {"true", "[]"}},
      {"ignore_eos", nullptr, {"true"}, {"1"}},
  };
  return kOthers;
}

std::vector<Case> field_cases() {
  std::vector<Case> out;
  const auto add = [&out](Door door, const Field& field, const Values& values, const std::string& code) {
    const char* name = is_ollama(door) ? field.ollama : field.openai;
    if (name == nullptr) return;
    const std::string param = is_ollama(door) ? fmt::format("options.{}", name) : name;
    for (const std::string& value : values) {
      out.push_back({door, with_member(door, name, value), code, code == "invalid_value" ? param : ""});
    }
  };
  for (const Door door : kDoors) {
    for (const Field& field : numbers()) {
      add(door, field, field.good, "");
      add(door, field, {"null"}, "");
      add(door, field, field.bad, "invalid_value");
      add(door, field, {R"("1")", "true", "[1]", "{}"}, "invalid_value");
      add(door, field, {"NaN", "-Infinity"}, "invalid_json");
    }
    for (const Field& field : others()) {
      add(door, field, field.good, "");
      add(door, field, field.bad, "invalid_value");
    }
  }
  return out;
}

// Text that no reader of JSON in UTF-8 may take, and what is just good enough.
std::vector<Case> text_cases() {
  struct Text {
    std::string after;  // the request's opening, where there is no `whole`
    std::string code;
    std::string whole = "";
  };
  const std::string long_number = "1" + std::string(100'000, '0');
  std::vector<Text> texts{
      {",\"x\":" + std::string(63, '[') + std::string(63, ']') + "}", ""},
      {",\"x\":" + std::string(64, '[') + std::string(64, ']') + "}", "json_too_deep"},
      {",\"x\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", "json_too_deep"},
      {",\"x\":" + many("{\"a\":", 100'000) + "1" + std::string(100'000, '}') + "}", "json_too_deep"},
      {",\"x\":[" + many("{\"\":0}", 1'000'000, ",") + "]}", "invalid_json"},  // a million keys
      {",\"x\":[" + many("{\"\":0}", 90'000, ",") + "]}", ""},
      {",\"x\":[" + many("0", 3'900'000, ",") + "]}", "invalid_json"},
      {",\"x\":[" + many("[]", 2'600'000, ",") + "]}", "invalid_json"},
      {R"(,"x":1,"x":1})", "invalid_json"},
      {R"(,"x":1,"\u0078":1})", "invalid_json"},
      {R"(,"x":{"a":[{"b":1,"b":2}]}})", "invalid_json"},
      {",\"x\":" + long_number + "}", ""},
      {",\"x\":0." + std::string(100'000, '3') + "}", ""},
      {",\"x\":1e99999999999999999999}", "invalid_json"},
      {R"(,"x":"\ud800"})", "invalid_json"},
      {R"(,"x":"\udc00"})", "invalid_json"},
      {R"(,"x":"\ud800\u0041"})", "invalid_json"},
      {R"(,"x":"\ud83d\ude00"})", ""},
      {",\"x\":\"\xff\"}", "invalid_utf8"},
      {",\"x\":\"\xc0\xaf\"}", "invalid_utf8"},
      {",\"x\":\"\xed\xa0\x80\"}", "invalid_utf8"},
      {",\"x\":\"\xf4\x90\x80\x80\"}", "invalid_utf8"},
      {",\"x\":\"\xe4\xb8", "invalid_utf8"},
      {",\"x\":\"a\nb\"}", "invalid_json"},
      {std::string(",\"x\":\"a\0b\"}", 11), "invalid_json"},
      {R"(,"x":"\x"})", "invalid_json"},
      {R"(,"x":1,})", "invalid_json"},
      {R"(,"x":1} {})", "invalid_json"},
      {R"(,"x":1 /* */})", "invalid_json"},
      {R"(,'x':1})", "invalid_json"},
      {R"(,"x":"1)", "invalid_json"},
      {R"(,"x":[1})", "invalid_json"},
      {"", "invalid_json"},
      {"} \t\r\n", ""},
  };
  for (const char* number : {"01", "1.", ".5", "+1", "-", "0x10", "1e", "Infinity", "True", "nil"}) {
    texts.push_back({fmt::format(",\"x\":{}}}", number), "invalid_json"});
  }
  for (const char* whole : {"[]", "null", "\"x\"", "7", " ", "{", "prompt=x", "\xef\xbb\xbf{\"prompt\":\"x\"}"}) {
    texts.push_back({"", "invalid_json", whole});
  }
  texts.push_back({"", "invalid_utf8", "\xff\xfe{"});  // UTF-16
  std::vector<Case> out;
  for (const Door door : kDoors) {
    const std::string limit = is_ollama(door) ? R"(,"options":{"num_predict":1})" : R"(,"max_tokens":1)";
    for (const Text& text : texts) {
      out.push_back({door, text.whole.empty() ? open_request(door) + limit + text.after : text.whole, text.code, ""});
    }
  }
  return out;
}

class BadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    HouseSetup setup;
    is_real_ = std::filesystem::exists(E2E_REAL_WORKER) && std::filesystem::exists(E2E_DEMO_MODEL);
    if (is_real_) {
      setup.worker = E2E_REAL_WORKER;
      setup.extra = {"--model", E2E_DEMO_MODEL, "--name", "demo"};
    } else {
      std::puts("not judged here: the engine (dormouse-worker or the demo model is not there)");
      setup.fakes = {{"demo", "tokens=1"}};
    }
    house_.emplace(std::move(setup));
    ASSERT_TRUE(house_->is_up()) << house_->log();
    ASSERT_EQ(house_->post("/generate", R"({"prompt":"x","max_tokens":1})").status, 200) << house_->log();
    engine_ = engine();
    ASSERT_GT(engine_, 0);
  }
  void TearDown() override {
    if (house_.has_value() && house_->is_up()) {
      EXPECT_EQ(engine(), engine_) << "another engine serves now (0: none)\n" << house_->log();
    }
  }
  std::int64_t engine() {
    const std::vector<gateway::InstanceView> instances = house_->deployment("demo").instances;
    return instances.empty() ? 0 : instances.front().pid;
  }

  static void expect_as_wanted(const Case& c, const Answer& answer) {
    const std::string shown = fmt::format("{} {} -> {} {}", path_of(c.door), c.body.substr(0, 200), answer.status,
                                          answer.body.substr(0, 300));
    ASSERT_EQ(answer.status, c.code.empty() ? 200 : 400) << shown;
    EXPECT_TRUE(answer.whole) << shown;
    EXPECT_TRUE(answer.headers.find("x-request-id").has_value()) << shown;
    if (c.code.empty()) return;
    boost::system::error_code ec;
    const json::value body = json::parse(answer.body, ec);
    ASSERT_TRUE(!ec && body.is_object()) << shown;
    const json::value& error = body.at("error");
    if (is_ollama(c.door)) {  // a sentence, which is all its clients read
      ASSERT_TRUE(error.is_string()) << shown;
      EXPECT_NE(std::string_view(error.get_string()).find(c.param), std::string_view::npos) << shown;
      return;
    }
    EXPECT_EQ(error.at("type"), "invalid_request_error") << shown;
    EXPECT_EQ(error.at("code"), c.code.c_str()) << shown;
    EXPECT_EQ(error.at("param"), c.param.empty() ? json::value() : json::value(c.param)) << shown;
  }

  void try_all(const std::vector<Case>& cases) {
    constexpr std::size_t kTogether = 16;
    for (std::size_t begin = 0; begin < cases.size(); begin += kTogether) {
      const std::size_t end = std::min(cases.size(), begin + kTogether);
      std::vector<Wish> wishes(end - begin);
      for (std::size_t i = begin; i < end; ++i) {
        wishes[i - begin].method = "POST";
        wishes[i - begin].target = path_of(cases[i].door);
        wishes[i - begin].body = cases[i].body;
      }
      const std::vector<Answer> answers = house_->ask_all(std::move(wishes));
      for (std::size_t i = begin; i < end; ++i) expect_as_wanted(cases[i], answers[i - begin]);
    }
  }

  std::optional<RunningHouse> house_;
  bool is_real_ = false;
  std::int64_t engine_ = 0;
};

TEST_F(BadInput, EachBoundaryOfEachFieldIsServedOrNamed) {
  const std::vector<Case> cases = field_cases();
  fmt::print("{} cases\n", cases.size());
  EXPECT_GE(cases.size(), 400U);
  try_all(cases);
}

TEST_F(BadInput, TextThatIsNoJsonIsRefusedByItsKind) {
  const std::vector<Case> cases = text_cases();
  fmt::print("{} cases\n", cases.size());
  try_all(cases);
}

// One after the other: together they fill the queue, which counts tokens.
TEST_F(BadInput, NoPromptIsTooLongForATypedAnswer) {
  if (!is_real_) GTEST_SKIP() << "the fake worker has no tokenizer";
  const std::vector<std::string> prompts{std::string(43'000, 'a'), many("x ", 1'000'000), many("\xe6\x9c\x88", 100'000),
                                         many("<|im_start|>", 50'000)};
  double longest_ms = 0;
  for (const Door door : kDoors) {
    const bool is_chat = door == Door::kChat || door == Door::kOllamaChat;
    for (const std::string& prompt : prompts) {
      const MonoTime asked = SystemClock().now();
      // Streaming, an answer that is long in coming begins before it is known to be an error.
      try_all({{door, open_request(door, '"' + prompt + '"') + ",\"stream\":false}", "context_length_exceeded",
                is_chat ? "messages" : "prompt"}});
      longest_ms = std::max(longest_ms, std::chrono::duration<double, std::milli>(SystemClock().now() - asked).count());
    }
  }
  fmt::print("{} prompts of up to 2 MB, the slowest answer {:.0f} ms\n", std::size(kDoors) * prompts.size(),
             longest_ms);
}

TEST_F(BadInput, AnEmptyPromptIsNamed) {
  try_all({{Door::kGenerate, R"({"model":"demo","prompt":""})", "invalid_value", "prompt"},
           {Door::kGenerate, R"({"model":"demo"})", "invalid_value", "prompt"},
           {Door::kGenerate, R"({"model":"demo","prompt":null})", "invalid_value", "prompt"},
           {Door::kGenerate, R"({"model":"demo","prompt":["x"],"raw":1})", "invalid_value", "raw"},
           {Door::kGenerate, R"({"model":"demo","prompt":[2147483647],"raw":true})", "invalid_value", "prompt"},
           {Door::kCompletions, R"({"model":"demo","prompt":""})", "invalid_value", "prompt"},
           {Door::kCompletions, R"({"model":"demo","prompt":[]})", "invalid_value", "prompt"},
           {Door::kCompletions, R"({"model":"demo","prompt":[-1]})", "invalid_value", "prompt"},
           {Door::kCompletions, R"({"model":"demo","prompt":[2147483647]})", "invalid_value", "prompt"},
           {Door::kCompletions, R"({"model":"demo","prompt":[1.5]})", "invalid_value", "prompt"},
           {Door::kChat, R"({"model":"demo","messages":[]})", "invalid_value", "messages"},
           {Door::kChat, R"({"model":"demo","messages":[7]})", "invalid_value", "messages[0]"},
           {Door::kChat, R"({"model":"demo","messages":[{"role":"x"}]})", "invalid_value", "messages[0].role"},
           {Door::kChat, R"({"model":"demo","messages":[{"role":"user"}]})", "invalid_value", "messages[0].content"},
           {Door::kOllamaChat, R"({"model":"demo","messages":7})", "invalid_value", "messages"},
           {Door::kOllamaChat, R"({"model":"demo","messages":[7]})", "invalid_value", "messages[0]"},
           {Door::kOllamaGenerate, R"({"model":"demo","prompt":7})", "invalid_value", "prompt"}});
}

}  // namespace
}  // namespace dormouse::e2e
