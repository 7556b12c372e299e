// Goal: every boundary of every field, both sides of it, and that a request survives being written back (T-45..T-47).
// Method: tables of JSON members set into a valid request; the error must name the parameter.
#include <gtest/gtest.h>

#include <vector>

#include "api/generation.h"
#include "api/strict_json.h"

namespace dormouse::api {
namespace {

enum class Want { kAccept, kRefuse };

struct FieldCase {
  std::string members;  // added to a valid request
  Want want = Want::kAccept;
  std::string param = "";  // named by the refusal
};

std::string chat(std::string_view members) {
  return R"({"messages":[{"role":"user","content":"hi"}])" + std::string(members.empty() ? "" : ",") +
         std::string(members) + "}";
}
std::string completion(std::string_view members) {
  return R"({"prompt":"hi")" + std::string(members.empty() ? "" : ",") + std::string(members) + "}";
}

// Numbers: for each field the values just inside and just outside, and every wrong type.
std::vector<FieldCase> number_cases() {
  struct Field {
    std::string name;
    std::vector<std::string> good;
    std::vector<std::string> bad;
  };
  const std::vector<Field> fields = {
      {"temperature",
       {"0", "-0.0", "0.0", "1e-300", "2", "2.0", "0.7"},
       {"-1", "-1e-9", "2.0000001", "1e308", "1e400", "-1e400", "99999999999999999999"}},
      {"top_p", {"1", "1.0", "0.0001", "1e-300"}, {"0", "-0.0", "2", "1.0000001", "-1"}},
      {"top_k", {"0", "-1", "1", "5.0", "2147483647"}, {"-2", "2147483648", "1.5", "1e300"}},
      {"min_p", {"0", "1", "0.05"}, {"-0.01", "1.01"}},
      {"repetition_penalty", {"2", "0.01", "1.1"}, {"0", "1e-50", "-1", "2.1"}},
      {"presence_penalty", {"-2", "2", "0"}, {"-2.01", "2.01"}},
      {"frequency_penalty", {"-2", "2", "0"}, {"-2.01", "2.01"}},
      {"seed",
       {"0", "-1", "9223372036854775807", "-9223372036854775808", "42.0"},
       {"9223372036854775808", "18446744073709551616", "-9223372036854775809", "1.5"}},
      {"max_tokens", {"1", "9223372036854775807", "16.0"}, {"0", "-1", "9223372036854775808", "1.5", "1e30"}},
      {"n", {"1", "8", "2.0"}, {"0", "9", "-1", "1000000000", "1.5"}},
  };
  std::vector<FieldCase> cases;
  for (const Field& field : fields) {
    const std::string key = "\"" + field.name + "\":";
    for (const std::string& value : field.good) cases.push_back({key + value, Want::kAccept, ""});
    for (const std::string& value : field.bad) cases.push_back({key + value, Want::kRefuse, field.name});
    for (const std::string value : {"\"1\"", "true", "[1]", "{}"})
      cases.push_back({key + value, Want::kRefuse, field.name});
    cases.push_back({key + "null", Want::kAccept, ""});
  }
  return cases;
}

std::vector<FieldCase> shared_cases() {
  std::string many_stops = "\"s\"";
  for (int i = 0; i < 15; ++i) many_stops += ",\"s\"";
  std::string many_biases;
  for (int i = 0; i < 1025; ++i) many_biases += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":1";
  return {
      {R"("stop":"a")"},
      {R"("stop":["a","b"])"},
      {R"("stop":[])"},
      {R"("stop":null)"},
      {"\"stop\":[" + many_stops + "]"},
      {"\"stop\":[" + many_stops + ",\"t\"]", Want::kRefuse, "stop"},
      {R"("stop":"")", Want::kRefuse, "stop"},
      {R"("stop":[""])", Want::kRefuse, "stop"},
      {R"("stop":5)", Want::kRefuse, "stop"},
      {R"("stop":["a",5])", Want::kRefuse, "stop"},
      {R"("stop":{})", Want::kRefuse, "stop"},
      {R"("stop":[null])", Want::kRefuse, "stop"},
      {"\"stop\":\"" + std::string(1024, 's') + "\""},
      {"\"stop\":\"" + std::string(1025, 's') + "\"", Want::kRefuse, "stop"},
      {R"("logit_bias":{})"},
      {R"("logit_bias":{"0":-100,"2147483647":100})"},
      {R"("logit_bias":{"2147483648":1})", Want::kRefuse, "logit_bias"},
      {R"("logit_bias":{"-1":1})", Want::kRefuse, "logit_bias"},
      {R"("logit_bias":{"a":1})", Want::kRefuse, "logit_bias"},
      {R"("logit_bias":{"":1})", Want::kRefuse, "logit_bias"},
      {R"("logit_bias":{"1 ":1})", Want::kRefuse, "logit_bias"},
      {R"("logit_bias":{"1":101})", Want::kRefuse, "logit_bias"},
      {R"("logit_bias":{"1":-100.5})", Want::kRefuse, "logit_bias"},
      {R"("logit_bias":{"1":"5"})", Want::kRefuse, "logit_bias"},
      {R"("logit_bias":{"1":1,"01":2})", Want::kRefuse, "logit_bias"},
      {R"("logit_bias":[])", Want::kRefuse, "logit_bias"},
      {"\"logit_bias\":{" + many_biases + "}", Want::kRefuse, "logit_bias"},
      {R"("stream":true)"},
      {R"("stream":false)"},
      {R"("stream":null)"},
      {R"("stream":1)", Want::kRefuse, "stream"},
      {R"("stream":"true")", Want::kRefuse, "stream"},
      {R"("stream":true,"stream_options":{"include_usage":true})"},
      {R"("stream_options":null)"},
      {R"("stream_options":{"include_usage":1})", Want::kRefuse, "stream_options.include_usage"},
      {R"("stream_options":{"continuous_usage_stats":"x"})", Want::kRefuse, "stream_options.continuous_usage_stats"},
      {R"("stream_options":true)", Want::kRefuse, "stream_options"},
      {R"("model":"m")"},
      {R"("model":"")"},
      {R"("model":5)", Want::kRefuse, "model"},
      {"\"model\":\"" + std::string(257, 'm') + "\"", Want::kRefuse, "model"},
      {R"("ignore_eos":true)"},
      {R"("ignore_eos":1)", Want::kRefuse, "ignore_eos"},
      {R"("user":5)"},
      {R"("metadata":[1])"},
      {R"("no_such_field":{"a":[1]})"},
  };
}

std::vector<FieldCase> chat_cases() {
  const std::string tool = R"("tools":[{"type":"function","function":{"name":"f"}}])";
  return {
      {R"("max_completion_tokens":1)"},
      {R"("max_completion_tokens":0)", Want::kRefuse, "max_completion_tokens"},
      {R"("max_tokens":0,"max_completion_tokens":5)", Want::kRefuse, "max_tokens"},
      {R"("logprobs":true)"},
      {R"("logprobs":false)"},
      {R"("logprobs":1)", Want::kRefuse, "logprobs"},
      {R"("logprobs":true,"top_logprobs":20)"},
      {R"("top_logprobs":0)"},
      {R"("logprobs":true,"top_logprobs":21)", Want::kRefuse, "top_logprobs"},
      {R"("logprobs":true,"top_logprobs":-1)", Want::kRefuse, "top_logprobs"},
      {R"("top_logprobs":1)", Want::kRefuse, "top_logprobs"},
      {R"("response_format":{"type":"text"})"},
      {R"("response_format":null)"},
      {R"("response_format":{"type":"json_object"})"},
      {R"("response_format":{"type":"json_schema"})", Want::kRefuse, "response_format.json_schema"},
      {R"("response_format":{"type":"json_schema","json_schema":{}})", Want::kRefuse,
       "response_format.json_schema.schema"},
      {R"("response_format":{"type":"json_schema","json_schema":{"schema":[]}})", Want::kRefuse,
       "response_format.json_schema.schema"},
      {R"("response_format":{"type":"json_schema","json_schema":{"schema":{},"strict":1}})", Want::kRefuse,
       "response_format.json_schema.strict"},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{}}})"},
      {R"("response_format":{"type":"json_object"},"guided_regex":"a")", Want::kRefuse, "guided_regex"},
      {R"("response_format":{"type":"text"},"guided_regex":"a")"},
      {R"("guided_json":"{\"type\":\"object\"}")"},
      {R"("guided_json":"{")", Want::kRefuse, "guided_json"},
      {R"("guided_choice":["a","b"])"},
      {R"("guided_choice":["a",""])", Want::kRefuse, "guided_choice"},
      {R"("guided_choice":[])", Want::kRefuse, "guided_choice"},
      {R"("structured_outputs":{"regex":"a","json":null})"},
      {R"("structured_outputs":{"regex":"a","json":{}})", Want::kRefuse, "structured_outputs"},
      {R"("structured_outputs":{"lark":"a"})", Want::kRefuse, "structured_outputs"},
      {R"("grammar":"")", Want::kRefuse, "grammar"},
      {R"("grammar":"root ::= \"a\"")"},
      {R"("response_format":{})", Want::kRefuse, "response_format"},
      {R"("response_format":"text")", Want::kRefuse, "response_format"},
      {R"("response_format":{"type":5})", Want::kRefuse, "response_format.type"},
      {R"("tools":[])"},
      {R"("tools":null)"},
      {R"("tools":{})", Want::kRefuse, "tools"},
      {R"("tools":[5])", Want::kRefuse, "tools[0]"},
      {R"("tools":[{"type":"function","function":{"name":"f"}}])"},
      {R"("tools":[{"type":"web","function":{"name":"f"}}])", Want::kRefuse, "tools[0].type"},
      {R"("tools":[{"type":"function"}])", Want::kRefuse, "tools[0].function"},
      {R"("tools":[{"type":"function","function":{}}])", Want::kRefuse, "tools[0].function.name"},
      {R"("tools":[{"type":"function","function":{"name":5}}])", Want::kRefuse, "tools[0].function.name"},
      {R"("tool_choice":"auto")"},
      {R"("tool_choice":"none")"},
      {R"("tool_choice":"required")", Want::kRefuse, "tool_choice"},
      {R"("tool_choice":{"type":"function","function":{"name":"f"}})", Want::kRefuse, "tool_choice"},
      {tool + R"(,"tool_choice":"required")"},
      {tool + R"(,"tool_choice":"none")"},
      {tool + R"(,"tool_choice":{"type":"function","function":{"name":"f"}})"},
      {tool + R"(,"tool_choice":{"type":"function","function":{"name":"g"}})", Want::kRefuse, "tool_choice"},
      {tool + R"(,"tool_choice":{"type":"function","function":{"name":5}})", Want::kRefuse, "tool_choice"},
      {tool + R"(,"tool_choice":{"type":"function","function":"f"})", Want::kRefuse, "tool_choice"},
      {tool + R"(,"tool_choice":"any")", Want::kRefuse, "tool_choice"},
      {tool + R"(,"tool_choice":5)", Want::kRefuse, "tool_choice"},
      {tool + R"(,"parallel_tool_calls":false)"},
      {tool + R"(,"parallel_tool_calls":"no")", Want::kRefuse, "parallel_tool_calls"},
      {R"("thinking_budget":0)"},
      {R"("thinking_budget":4096)"},
      {R"("thinking_budget":-1)", Want::kRefuse, "thinking_budget"},
      {R"("thinking_budget":2147483648)", Want::kRefuse, "thinking_budget"},
      {R"("thinking_budget":"all")", Want::kRefuse, "thinking_budget"},
      {R"("chat_template_kwargs":{"thinking_budget":5.5})", Want::kRefuse, "chat_template_kwargs.thinking_budget"},
      {R"("reasoning":{"max_tokens":100,"effort":"low"})"},
      {R"("reasoning":{"max_tokens":-5})", Want::kRefuse, "reasoning.max_tokens"},
      {R"("reasoning":{"effort":"lots"})", Want::kRefuse, "reasoning.effort"},
      {R"("reasoning":true)", Want::kRefuse, "reasoning"},
      {R"("chat_template_kwargs":{"enable_thinking":false})"},
      {R"("chat_template_kwargs":{"other":1})"},
      {R"("chat_template_kwargs":{"enable_thinking":"no"})", Want::kRefuse, "chat_template_kwargs.enable_thinking"},
      {R"("chat_template_kwargs":[])", Want::kRefuse, "chat_template_kwargs"},
      {R"("enable_thinking":true)"},
      {R"("enable_thinking":0)", Want::kRefuse, "enable_thinking"},
      {R"("reasoning_effort":"none")"},
      {R"("reasoning_effort":"xhigh")"},
      {R"("reasoning_effort":"extreme")", Want::kRefuse, "reasoning_effort"},
      {R"("reasoning":{"effort":"low"},"reasoning_effort":"extreme")", Want::kRefuse, "reasoning_effort"},
      {R"("reasoning_effort":1)", Want::kRefuse, "reasoning_effort"},
  };
}

std::vector<FieldCase> completion_cases() {
  return {
      {R"("echo":true)"},
      {R"("echo":"x")", Want::kRefuse, "echo"},
      {R"("logprobs":0)"},
      {R"("logprobs":5)"},
      {R"("logprobs":20)"},
      {R"("logprobs":21)", Want::kRefuse, "logprobs"},
      {R"("logprobs":-1)", Want::kRefuse, "logprobs"},
      {R"("logprobs":true)", Want::kRefuse, "logprobs"},
      {R"("best_of":1)"},
      {R"("n":2,"best_of":2)"},
      {R"("best_of":2)", Want::kRefuse, "best_of"},
      {R"("suffix":"")"},
      {R"("suffix":null)"},
      {R"("suffix":"x")", Want::kRefuse, "suffix"},
  };
}

template <typename Parse, typename Body>
void check(const std::vector<FieldCase>& cases, Parse parse, Body body) {
  for (const FieldCase& c : cases) {
    const std::string text = body(c.members);
    const auto got = parse(text);
    EXPECT_EQ(got.has_value(), c.want == Want::kAccept) << text.substr(0, 200);
    if (!got && c.want == Want::kRefuse) {
      EXPECT_EQ(got.error().code, ErrorCode::kInvalidValue) << text.substr(0, 200);
      EXPECT_EQ(got.error().param, c.param) << text.substr(0, 200);
      EXPECT_FALSE(got.error().message.empty());
    }
    if (got) {
      const auto again = parse(to_json(*got));
      ASSERT_TRUE(again) << to_json(*got) << again.error().message;
      GenerationRequest want = *got;
      want.ignored_fields.clear();
      EXPECT_EQ(*again, want) << to_json(*got);
    }
  }
}

TEST(Request, EveryBoundaryOfEveryChatFieldAndBackAgain) {
  check(number_cases(), parse_chat_request, chat);
  check(shared_cases(), parse_chat_request, chat);
  check(chat_cases(), parse_chat_request, chat);
}

TEST(Request, EveryBoundaryOfEveryCompletionFieldAndBackAgain) {
  check(number_cases(), parse_completion_request, completion);
  check(shared_cases(), parse_completion_request, completion);
  check(completion_cases(), parse_completion_request, completion);
}

TEST(Request, TheBoundaryTableHasItsSize) {
  EXPECT_GE(number_cases().size() + shared_cases().size() + chat_cases().size() + completion_cases().size(), 150U);
}

struct BodyCase {
  std::string body;
  ErrorCode code;
};

TEST(Request, BodiesThatAreNotStrictJsonAreRefusedWithTheirCode) {
  const std::string ok = R"({"messages":[{"role":"user","content":"hi"}]})";
  const auto nested = [](int depth) {
    return R"({"messages":[{"role":"user","content":"hi"}],"x":)" + std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']') + "}";
  };
  const std::vector<BodyCase> cases = {
      {"", ErrorCode::kInvalidJson},
      {" ", ErrorCode::kInvalidJson},
      {"{", ErrorCode::kInvalidJson},
      {"null", ErrorCode::kInvalidJson},
      {"[]", ErrorCode::kInvalidJson},
      {"\"x\"", ErrorCode::kInvalidJson},
      {"5", ErrorCode::kInvalidJson},
      {ok + "x", ErrorCode::kInvalidJson},
      {ok + ok, ErrorCode::kInvalidJson},
      {"\xEF\xBB\xBF" + ok, ErrorCode::kInvalidJson},
      {R"({"a":NaN})", ErrorCode::kInvalidJson},
      {R"({"a":Infinity})", ErrorCode::kInvalidJson},
      {R"({"a":01})", ErrorCode::kInvalidJson},
      {R"({"a":+1})", ErrorCode::kInvalidJson},
      {R"({"a":.5})", ErrorCode::kInvalidJson},
      {R"({"a":1,})", ErrorCode::kInvalidJson},
      {R"({"a":1 // c
})",
       ErrorCode::kInvalidJson},
      {R"({'a':1})", ErrorCode::kInvalidJson},
      {"{\"a\":\"\n\"}", ErrorCode::kInvalidJson},
      {R"({"a":"\x"})", ErrorCode::kInvalidJson},
      {R"({"a":"\ud800"})", ErrorCode::kInvalidJson},
      {R"({"a":"\udc00"})", ErrorCode::kInvalidJson},
      {R"({"a":"\ud800\ud800"})", ErrorCode::kInvalidJson},
      {R"({"a":1,"a":1})", ErrorCode::kInvalidJson},
      {R"({"a":1,"\u0061":2})", ErrorCode::kInvalidJson},
      {R"({"messages":[{"role":"user","role":"system","content":"x"}]})", ErrorCode::kInvalidJson},
      {R"({"x":{"y":[{"z":1,"z":{"w":1}}]}})", ErrorCode::kInvalidJson},
      {"{\"a\":\"\xff\"}", ErrorCode::kInvalidUtf8},
      {"{\"a\":\"\xc0\xaf\"}", ErrorCode::kInvalidUtf8},
      {"{\"\xed\xa0\x80\":1}", ErrorCode::kInvalidUtf8},
      {std::string("{\"a\":1}\x80"), ErrorCode::kInvalidUtf8},
      {nested(64), ErrorCode::kJsonTooDeep},
      {nested(100'000), ErrorCode::kJsonTooDeep},
      {"{\"a\":" + std::string(1'000'000, '['), ErrorCode::kJsonTooDeep},
  };
  for (const BodyCase& c : cases) {
    const auto got = parse_chat_request(c.body);
    ASSERT_FALSE(got) << c.body.substr(0, 80);
    EXPECT_EQ(row(got.error().code).code, row(c.code).code) << c.body.substr(0, 80);
  }
  EXPECT_TRUE(parse_chat_request(nested(63)));
  EXPECT_TRUE(parse_chat_request("\n\t " + ok + "\r\n"));
}

TEST(Request, AMillionKeysAreRefusedAndManyAreFine) {
  std::string body = R"({"messages":[{"role":"user","content":"hi"}])";
  for (int i = 0; i < 1'000'000; ++i) body += ",\"k" + std::to_string(i) + "\":0";
  const auto refused = parse_chat_request(body + "}");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidJson);
  const auto fine = parse_chat_request(body.substr(0, body.find(",\"k50000\"")) + "}");
  ASSERT_TRUE(fine);
  EXPECT_EQ(fine->ignored_fields.size(), kMaxIgnoredFields);
}

TEST(Request, ThePromptOfTheMostIdsPassesAndMoreValuesAreRefusedWhateverTheyAre) {
  const auto list_of = [](std::size_t count, std::string_view value) {
    std::string out = "[";
    for (std::size_t i = 0; i < count; ++i) out.append(i > 0 ? "," : "").append(value);
    return out + "]";
  };
  const auto longest = parse_completion_request("{\"prompt\":" + list_of(kMaxPromptTokens, "1") + "}");
  ASSERT_TRUE(longest) << longest.error().message;
  EXPECT_EQ(longest->prompt_tokens.size(), kMaxPromptTokens);
  for (const char* value : {"0", "18446744073709551615", "1e9", "\"\"", "true", "null", "[]", "{}"}) {
    const auto refused = parse_completion_request("{\"prompt\":\"x\",\"y\":" + list_of(kMaxJsonValues, value) + "}");
    ASSERT_FALSE(refused) << value;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidJson) << value;
    EXPECT_EQ(refused.error().message, "The JSON has too many values.");
  }
}

TEST(Request, MessagesAreReadInEveryFormClientsSend) {
  const auto got = parse_chat_request(R"({"model":"qwen3","messages":[
    {"role":"developer","content":"be brief"},
    {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
    {"role":"assistant","content":null,"reasoning":"think","tool_calls":[
      {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}},
      {"id":"c2","function":{"name":"g","arguments":{"城":"北京","n":[1,2.50,1e3]}}}]},
    {"role":"tool","tool_call_id":"c1","content":"42"},
    {"role":"assistant","content":"done","reasoning_content":""}],
    "tools":[{"type":"function","function":{"parameters":{"b":{},"a":[]},"name":"f"}}],
    "max_tokens":5,"max_completion_tokens":7,"seed":-1,"reasoning_effort":"minimal","x":1,"y":2})");
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_EQ(got->messages.size(), 5U);
  EXPECT_EQ(got->messages[0].role, "system");
  EXPECT_EQ(got->messages[1].content, "a\nb");
  EXPECT_EQ(got->messages[2].reasoning_content, "think");
  EXPECT_EQ(got->messages[2].tool_calls[0].arguments, "{\"x\": 1}");
  EXPECT_TRUE(got->messages[2].tool_calls[0].arguments_is_string);
  EXPECT_EQ(got->messages[2].tool_calls[1].arguments, "{\"城\": \"北京\", \"n\": [1, 2.5, 1000.0]}");
  EXPECT_FALSE(got->messages[2].tool_calls[1].arguments_is_string);
  EXPECT_EQ(got->messages[3].tool_call_id, "c1");
  EXPECT_EQ(got->tools[0], R"({"type": "function", "function": {"parameters": {"b": {}, "a": []}, "name": "f"}})");
  EXPECT_EQ(got->sampling.max_tokens, 7);
  EXPECT_EQ(got->sampling.seed, ~std::uint64_t{0});
  EXPECT_EQ(got->enable_thinking, false);
  EXPECT_EQ(got->ignored_fields, (std::vector<std::string>{"x", "y"}));
  GenerationRequest want = *got;
  want.ignored_fields.clear();
  const auto again = parse_chat_request(to_json(want));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, want);
}

TEST(Request, MessagesOfTheWrongShapeAreNamedExactly) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"null", "messages"},
      {"[]", "messages"},
      {"{}", "messages"},
      {"\"x\"", "messages"},
      {"[5]", "messages[0]"},
      {"[{}]", "messages[0].role"},
      {R"([{"role":"user"}])", "messages[0].content"},
      {R"([{"role":"user","content":null}])", "messages[0].content"},
      {R"([{"role":"user","content":5}])", "messages[0].content"},
      {R"([{"role":"user","content":{}}])", "messages[0].content"},
      {R"([{"role":"user","content":[5]}])", "messages[0].content[0]"},
      {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0]"},
      {R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]}])",
       "messages[0].content[1]"},
      {R"([{"role":"wizard","content":"x"}])", "messages[0].role"},
      {R"([{"role":5,"content":"x"}])", "messages[0].role"},
      {R"([{"role":"function","content":"x"}])", "messages[0].role"},
      {R"([{"role":"user","content":"x"},{"role":"assistant","tool_calls":{}}])", "messages[1].tool_calls"},
      {R"([{"role":"assistant","tool_calls":[5]}])", "messages[0].tool_calls[0]"},
      {R"([{"role":"assistant","tool_calls":[{}]}])", "messages[0].tool_calls[0].function"},
      {R"([{"role":"assistant","tool_calls":[{"function":{}}]}])", "messages[0].tool_calls[0].function.name"},
      {R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":5}}]}])",
       "messages[0].tool_calls[0].function.arguments"},
      {R"([{"role":"assistant","tool_calls":[{"type":"x","function":{"name":"f"}}]}])",
       "messages[0].tool_calls[0].type"},
      {R"([{"role":"assistant","reasoning_content":5}])", "messages[0].reasoning_content"},
      {R"([{"role":"assistant","reasoning_content":"x","reasoning":5}])", "messages[0].reasoning"},
      {R"([{"role":"tool","tool_call_id":5,"content":"x"}])", "messages[0].tool_call_id"},
  };
  for (const auto& [messages, param] : cases) {
    const auto got = parse_chat_request("{\"messages\":" + messages + "}");
    ASSERT_FALSE(got) << messages;
    EXPECT_EQ(got.error().param, param) << messages;
  }
  EXPECT_EQ(parse_chat_request("{}").error().param, "messages");
}

TEST(Request, PromptsAreTextOrTokensAndOneOfThem) {
  EXPECT_EQ(parse_completion_request(R"({"prompt":["x"]})")->prompt, "x");
  EXPECT_EQ(parse_completion_request(R"({"prompt":[1,2.0]})")->prompt_tokens, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(parse_completion_request(R"({"prompt":[[7]]})")->prompt_tokens, (std::vector<std::int32_t>{7}));
  for (const char* prompt : {"null", "\"\"", "[]", "[[]]", "[\"\"]", "5", "{}", "[\"a\",\"b\"]", "[[1],[2]]",
                             "[1,\"a\"]", "[-1]", "[2147483648]", "[1.5]", "[true]", "[[[1]]]"}) {
    const auto got = parse_completion_request("{\"prompt\":" + std::string(prompt) + "}");
    ASSERT_FALSE(got) << prompt;
    EXPECT_EQ(got.error().param, "prompt") << prompt;
  }
  const auto tokens = parse_completion_request(R"({"prompt":[1,2,3],"echo":true,"logprobs":0,"stream":true})");
  ASSERT_TRUE(tokens);
  EXPECT_EQ(*parse_completion_request(to_json(*tokens)), *tokens);
}

TEST(Request, TheMostSpecificWayToAskForThinkingWins) {
  const auto thinking = [](std::string_view members) { return parse_chat_request(chat(members))->enable_thinking; };
  EXPECT_EQ(thinking(""), std::nullopt);
  EXPECT_EQ(thinking(R"("reasoning_effort":"none")"), false);
  EXPECT_EQ(thinking(R"("reasoning_effort":"high")"), true);
  EXPECT_EQ(thinking(R"("reasoning_effort":"high","enable_thinking":false)"), false);
  EXPECT_EQ(thinking(R"("enable_thinking":false,"chat_template_kwargs":{"enable_thinking":true})"), true);
}

TEST(Request, TheMostSpecificWayToSetABudgetWins) {
  const auto budget = [](std::string_view members) {
    const GenerationRequest got = *parse_chat_request(chat(members));
    EXPECT_EQ(*parse_chat_request(to_json(got)), got) << members;
    return std::pair(got.thinking_budget, got.enable_thinking);
  };
  using Pair = std::pair<std::optional<std::int64_t>, std::optional<bool>>;
  EXPECT_EQ(budget(R"("reasoning_effort":"low")"), Pair(1024, true));
  EXPECT_EQ(budget(R"("reasoning_effort":"medium")"), Pair(8192, true));
  EXPECT_EQ(budget(R"("reasoning_effort":"high")"), Pair(std::nullopt, true));
  EXPECT_EQ(budget(R"("reasoning":{"effort":"low"},"reasoning_effort":"high")"), Pair(std::nullopt, true));
  EXPECT_EQ(budget(R"("reasoning_effort":"low","reasoning":{"max_tokens":7})"), Pair(7, true));
  EXPECT_EQ(budget(R"("reasoning":{"max_tokens":7},"chat_template_kwargs":{"thinking_budget":8})"), Pair(8, true));
  EXPECT_EQ(budget(R"("thinking_budget":9,"chat_template_kwargs":{"thinking_budget":8})"), Pair(9, true));
  EXPECT_EQ(budget(R"("thinking_budget":0)"), Pair(0, false));
  EXPECT_EQ(budget(R"("thinking_budget":0,"enable_thinking":true)"), Pair(0, true));
  EXPECT_EQ(budget(R"("thinking_budget":9,"chat_template_kwargs":{"enable_thinking":false})"), Pair(9, false));
}

TEST(Request, AToolThatMustBeCalledSurvivesTheWayToAWorker) {
  const std::string tool = R"("tools":[{"type":"function","function":{"name":"f"}}])";
  for (const char* const choice : {R"("auto")", R"("required")", R"({"type":"function","function":{"name":"f"}})"}) {
    const auto got = parse_chat_request(chat(tool + R"(,"parallel_tool_calls":false,"tool_choice":)" + choice));
    ASSERT_TRUE(got) << choice;
    EXPECT_FALSE(got->parallel_tool_calls);
    EXPECT_EQ(*parse_chat_request(to_json(*got)), *got) << choice;
  }
  const auto none = parse_chat_request(chat(tool + R"(,"parallel_tool_calls":false,"tool_choice":"none")"));
  EXPECT_TRUE(none->tools.empty());
  EXPECT_TRUE(none->parallel_tool_calls) << "of no account, and not sent on";
}

TEST(Request, WhatOfficialClientsSendAsAMatterOfCourseIsNotEvenCounted) {
  const auto got = parse_chat_request(chat(R"("user":"u","metadata":{"a":"b"},"store":false,"service_tier":"auto",
      "parallel_tool_calls":true,"prediction":{"type":"content","content":"x"},"safety_identifier":"s",
      "prompt_cache_key":"k","verbosity":"low","modalities":["text"])"));
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->ignored_fields.empty());
}

TEST(Request, DoublesComeBackAsTheSameBits) {
  for (const char* text :
       {"0.1", "0.7", "0.30000000000000004", "1.9999999999999998", "1e-300", "0.123456789012345678901234567890"}) {
    const auto got = parse_chat_request(chat(std::string("\"temperature\":") + text));
    ASSERT_TRUE(got);
    EXPECT_EQ(*got->sampling.temperature, std::strtod(text, nullptr)) << text;
  }
}

}  // namespace
}  // namespace dormouse::api
