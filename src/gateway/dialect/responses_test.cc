// Goal: /v1/responses is chat by another name: every item becomes its message, every refusal names the field the
// caller wrote, and events come in the order OpenAI's client builds its answer from. Method: bodies in, messages out;
// chunks in, events out; a client's bookkeeping over the events.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "gateway/dialect/responses.h"
#include "gateway/dialect/responses_request.h"
#include "http/sse.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

TEST(ResponsesRequest, ItemsBecomeMessages) {
  const auto request = parse_responses_request(R"({"model":"m","instructions":"be brief","max_output_tokens":7,
    "temperature":0.5,"reasoning":{"effort":"low"},"store":true,"zebra":1,"tools":[{"type":"function","name":"f",
    "parameters":{"type":"object"},"strict":true}],"tool_choice":"auto","input":[
    {"role":"user","content":"hi"},
    {"type":"reasoning","id":"rs_1","summary":[]},
    {"type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[]}]},
    {"type":"function_call","call_id":"c1","name":"f","arguments":"{\"x\":1}"},
    {"type":"function_call","call_id":"c2","name":"f","arguments":"{}"},
    {"type":"function_call_output","call_id":"c1","output":"one"},
    {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
    {"role":"developer","content":[{"type":"input_text","text":"x"},{"type":"input_text","text":"y"}]}]})");
  ASSERT_TRUE(request.has_value()) << request.error().param << request.error().message;
  const api::GenerationRequest& chat = request->chat;
  EXPECT_EQ(chat.model, "m");
  EXPECT_EQ(chat.sampling.max_tokens, 7);
  EXPECT_EQ(chat.sampling.temperature, 0.5);
  EXPECT_EQ(chat.enable_thinking, true);
  EXPECT_EQ(chat.ignored_fields, (std::vector<std::string>{"zebra"}));
  ASSERT_EQ(chat.tools.size(), 1U);
  EXPECT_EQ(json::parse(chat.tools[0]).at("function").at("name").as_string(), "f");
  ASSERT_EQ(chat.messages.size(), 6U);
  EXPECT_EQ(chat.messages[0].role, "system");
  EXPECT_EQ(chat.messages[1].content, "hi");
  EXPECT_EQ(chat.messages[2].content, "a");
  ASSERT_EQ(chat.messages[2].tool_calls.size(), 2U);
  EXPECT_EQ(chat.messages[2].tool_calls[0].arguments, R"({"x":1})");
  EXPECT_EQ(chat.messages[2].tool_calls[1].id, "c2");
  EXPECT_EQ(chat.messages[3].role, "tool");
  EXPECT_EQ(chat.messages[3].tool_call_id, "c1");
  EXPECT_EQ(chat.messages[4].content, "two");
  EXPECT_EQ(chat.messages[5].content, "x\ny");
  const json::value echo = json::parse("{" + request->echo + "}");
  EXPECT_EQ(echo.at("instructions").as_string(), "be brief");
  EXPECT_EQ(echo.at("tools").at(0).at("name").as_string(), "f");
  EXPECT_EQ(echo.at("store").as_bool(), false) << "nothing is stored, whatever was asked";
}

TEST(ResponsesRequest, ACallWithoutATurnBeforeItMakesOne) {
  const auto request = parse_responses_request(
      R"({"input":[{"role":"user","content":"q"},{"type":"function_call","call_id":"c","name":"f","arguments":""}]})");
  ASSERT_TRUE(request.has_value()) << request.error().message;
  ASSERT_EQ(request->chat.messages.size(), 2U);
  EXPECT_EQ(request->chat.messages[1].role, "assistant");
}

TEST(ResponsesRequest, WhatIsWrongIsRefusedByTheNameTheCallerWrote) {
  struct Case {
    const char* body;
    const char* param;
  };
  for (const Case& c : {
           Case{"{}", "input"},
           Case{R"({"input":[]})", "input"},
           Case{R"({"input":7})", "input"},
           Case{R"({"input":""})", ""},
           Case{R"({"input":["x"]})", "input[0]"},
           Case{R"({"input":[{"role":"king","content":"x"}]})", "input[0].role"},
           Case{R"({"input":[{"role":"user"}]})", "input[0].content"},
           Case{R"({"input":[{"role":"user","content":[{"type":"input_image"}]}]})", "input[0].content[0].type"},
           Case{R"({"input":[{"role":"user","content":[{"type":"input_text"}]}]})", "input[0].content[0].text"},
           Case{R"({"input":[{"type":"web_search_call"}]})", "input[0].type"},
           Case{R"({"input":[{"type":"function_call","name":"f"}]})", "input[0].call_id"},
           Case{R"({"input":[{"type":"function_call_output","output":"x"}]})", "input[0].call_id"},
           Case{R"({"input":"x","previous_response_id":"resp_1"})", "previous_response_id"},
           Case{R"({"input":"x","conversation":"c"})", "conversation"},
           Case{R"({"input":"x","background":true})", "background"},
           Case{R"({"input":"x","tools":[{"type":"web_search"}]})", "tools[0].type"},
           Case{R"({"input":"x","tools":[{"type":"function"}]})", "tools[0].name"},
           Case{R"({"input":"x","tool_choice":{"type":"mcp"}})", "tool_choice.type"},
           Case{R"({"input":"x","max_output_tokens":0})", "max_output_tokens"},
           Case{R"({"input":"x","temperature":9})", "temperature"},
           Case{R"({"input":"x","reasoning":{"effort":"huge"}})", "reasoning.effort"},
           Case{R"({"input":"x","text":{"format":{"type":"poem"}}})", "text.format"},
           Case{R"({"input":"x","text":7})", "text"},
       }) {
    const auto request = parse_responses_request(c.body);
    if (std::string_view(c.param).empty()) {
      EXPECT_TRUE(request.has_value()) << c.body;  // an empty text is a turn like any
      continue;
    }
    ASSERT_FALSE(request.has_value()) << c.body;
    EXPECT_EQ(request.error().param, c.param) << c.body;
    EXPECT_EQ(api::row(request.error().code).status, 400);
  }
  EXPECT_TRUE(parse_responses_request(R"({"input":"x","store":true,"previous_response_id":null})").has_value());
}

api::ParsedChunk chunk_of(api::Delta delta) {
  api::ParsedChunk out;
  out.choices.push_back(std::move(delta));
  return out;
}

api::Delta text(std::string content, std::string reasoning = "") {
  api::Delta out;
  out.content = std::move(content);
  out.reasoning_content = std::move(reasoning);
  return out;
}

api::Delta call(int index, std::string id, std::string name, std::string arguments) {
  api::Delta out;
  out.tool_calls.push_back(
      {.index = index, .id = std::move(id), .name = std::move(name), .arguments = std::move(arguments)});
  return out;
}

api::Delta ending(std::string reason) {
  api::Delta out;
  out.finish_reason = std::move(reason);
  return out;
}

AnswerSummary summary() {
  AnswerSummary out;
  out.usage = {.prompt_tokens = 5, .completion_tokens = 4, .cached_tokens = 2, .reasoning_tokens = 1};
  return out;
}

std::unique_ptr<AnswerWriter> writer(bool stream) {
  return make_responses_answer(stream, {.id = "r1", .created = 9, .model = "m"}, R"("tools":[])");
}

const std::vector<api::Delta>& full_answer() {
  static const std::vector<api::Delta> deltas = {text("", "hm"),
                                                 text("", "m"),
                                                 text("Hel"),
                                                 text("lo\n"),
                                                 call(0, "c1", "f", ""),
                                                 call(0, "", "", "{\"a\""),
                                                 call(0, "", "", ":1}"),
                                                 call(1, "c2", "g", "{}"),
                                                 ending("tool_calls")};
  return deltas;
}

// Events of the whole answer, each checked for its number and its name.
std::vector<json::value> events_of(AnswerWriter& answer, const std::vector<api::Delta>& deltas) {
  std::string wire;
  for (const api::Delta& delta : deltas) wire += answer.on_chunk(chunk_of(delta));
  wire += answer.closing(summary());
  EXPECT_EQ(wire.find("[DONE]"), std::string::npos);
  http::SseParser parser;
  parser.push(wire);
  std::vector<json::value> out;
  while (const auto event = parser.next()) {
    out.push_back(json::parse(event->data));
    EXPECT_EQ(out.back().at("type").as_string(), event->event);
    EXPECT_EQ(out.back().at("sequence_number").to_number<std::size_t>(), out.size() - 1);
  }
  return out;
}

TEST(ResponsesAnswer, EventsBuildTheSameOutputAsTheLastOneHolds) {
  const auto answer = writer(true);
  const std::vector<json::value> events = events_of(*answer, full_answer());
  std::string order;
  json::array output;
  for (const json::value& e : events) {
    const std::string type(e.at("type").as_string());
    order += type.substr(std::string("response.").size()) + " ";
    if (type == "response.output_item.added") {
      ASSERT_EQ(e.at("output_index").to_number<std::size_t>(), output.size());
      output.push_back(e.at("item"));
    } else if (type == "response.content_part.added") {
      json::array& parts = output.at(e.at("output_index").to_number<std::size_t>()).at("content").as_array();
      ASSERT_EQ(e.at("content_index").to_number<std::size_t>(), parts.size());
      parts.push_back(e.at("part"));
    } else if (type.ends_with("_text.delta")) {
      json::value& item = output.at(e.at("output_index").to_number<std::size_t>());
      ASSERT_EQ(item.at("id"), e.at("item_id"));
      json::string& grown = item.at("content").at(0).at("text").as_string();
      grown += e.at("delta").as_string();
    } else if (type == "response.function_call_arguments.delta") {
      output.at(e.at("output_index").to_number<std::size_t>()).at("arguments").as_string() += e.at("delta").as_string();
    } else if (type == "response.output_item.done") {
      json::value& item = output.at(e.at("output_index").to_number<std::size_t>());
      item.at("status") = "completed";
      EXPECT_EQ(item, e.at("item"));
    }
  }
  EXPECT_EQ(order,
            "created in_progress "
            "output_item.added content_part.added reasoning_text.delta reasoning_text.delta reasoning_text.done "
            "content_part.done output_item.done "
            "output_item.added content_part.added output_text.delta output_text.delta output_text.done "
            "content_part.done output_item.done "
            "output_item.added function_call_arguments.delta function_call_arguments.delta "
            "function_call_arguments.done output_item.done "
            "output_item.added function_call_arguments.delta function_call_arguments.done output_item.done "
            "completed ");
  const json::value& last = events.back().at("response");
  EXPECT_EQ(json::value(output), last.at("output"));
  EXPECT_EQ(last.at("status").as_string(), "completed");
  EXPECT_EQ(last.at("usage").at("total_tokens").to_number<int>(), 9);
  EXPECT_EQ(last.at("usage").at("input_tokens_details").at("cached_tokens").to_number<int>(), 2);
  EXPECT_EQ(output.at(2).at("call_id").as_string(), "c1");
  EXPECT_EQ(output.at(2).at("arguments").as_string(), R"({"a":1})");
  EXPECT_TRUE(events.front().at("response").at("usage").is_null());
}

TEST(ResponsesAnswer, TheWholeAnswerIsTheLastEventsResponse) {
  const auto streamed = writer(true);
  const json::value last = events_of(*streamed, full_answer()).back().at("response");
  const auto whole = writer(false);
  for (const api::Delta& delta : full_answer()) EXPECT_EQ(whole->on_chunk(chunk_of(delta)), "");
  EXPECT_EQ(json::parse(whole->whole(summary())), last);
}

TEST(ResponsesAnswer, ACutAnswerIsIncompleteAndAnEmptyOneStillAMessage) {
  const auto cut = writer(true);
  const std::vector<json::value> events = events_of(*cut, {text("Hel"), ending("length")});
  EXPECT_EQ(events.back().at("type").as_string(), "response.incomplete");
  EXPECT_EQ(events.back().at("response").at("incomplete_details").at("reason").as_string(), "max_output_tokens");
  EXPECT_EQ(events.back().at("response").at("output").at(0).at("status").as_string(), "incomplete");
  for (const bool stream : {true, false}) {
    const auto empty = writer(stream);
    [[maybe_unused]] const std::string begun = empty->on_chunk(chunk_of(ending("stop")));
    const json::value response = stream ? events_of(*writer(true), {ending("stop")}).back().at("response")
                                        : json::parse(empty->whole(summary()));
    EXPECT_EQ(response.at("output").at(0).at("content").at(0).at("text").as_string(), "");
  }
}

TEST(ResponsesAnswer, OneThatBreaksOffEndsWithAnErrorEvent) {
  const auto answer = writer(true);
  http::SseParser parser;
  parser.push(answer->on_chunk(chunk_of(text("Hel"))));
  std::int64_t events = 0;
  while (parser.next().has_value()) ++events;
  parser.push(answer->broken_off({api::ErrorCode::kWorkerCrashed, {}, {}}));
  const auto last = parser.next();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->event, "error");
  const json::value error = json::parse(last->data);
  EXPECT_EQ(error.at("type").as_string(), "error");
  EXPECT_EQ(error.at("sequence_number").as_int64(), events);
  EXPECT_EQ(error.at("code").as_string(), "worker_crashed");
  EXPECT_EQ(error.at("error").at("code").as_string(), "worker_crashed");
  EXPECT_EQ(error.at("message"), error.at("error").at("message"));
  EXPECT_FALSE(parser.next().has_value());
}

TEST(ResponsesAnswer, AfterAResetNothingOfTheFirstAttemptIsLeft) {
  const auto answer = writer(true);
  [[maybe_unused]] const std::string lost = answer->on_chunk(chunk_of(text("lost")));
  answer->reset();
  const std::vector<json::value> events = events_of(*answer, {text("kept"), ending("stop")});
  EXPECT_EQ(events.back().at("response").at("output").at(0).at("content").at(0).at("text").as_string(), "kept");
}

}  // namespace
}  // namespace dormouse::gateway
