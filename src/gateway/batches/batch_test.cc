// Goal: a form and a file of requests are read as OpenAI's client writes them, anything else is refused with its line,
// and what is kept on disk comes back as it was. Method: tables of bodies; every prefix of a form.
#include "gateway/batches/batch.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "gateway/batches/form_data.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

const std::string kType = "multipart/form-data; boundary=--x--7";
const std::string kForm =
    "----x--7\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
    "----x--7\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".jsonl\"\r\n"
    "Content-Type: application/octet-stream\r\n\r\nline 1\r\n--\r\nline 2\r\n\r\n----x--7--\r\n";

TEST(FormData, PartsAreNamedAndTheirBytesKept) {
  const auto parts = parse_form_data(kType, kForm);
  ASSERT_TRUE(parts.has_value()) << parts.error().message;
  ASSERT_EQ(parts->size(), 2U);
  EXPECT_EQ((*parts)[0].name, "purpose");
  EXPECT_EQ((*parts)[0].content, "batch");
  EXPECT_EQ((*parts)[1].filename, "a \"b\".jsonl");
  EXPECT_EQ((*parts)[1].content, "line 1\r\n--\r\nline 2\r\n");
  EXPECT_TRUE(parse_form_data("Multipart/Form-Data; charset=utf-8; Boundary=\"--x--7\"", kForm).has_value());
}

TEST(FormData, WhatIsNotWholeIsRefused) {
  // Whole once its last boundary is: what comes after that is nobody's.
  const std::size_t whole = kForm.rfind("--7--") + std::string("--7--").size();
  for (std::size_t size = 0; size < kForm.size(); ++size) {
    EXPECT_EQ(parse_form_data(kType, kForm.substr(0, size)).has_value(), size >= whole) << size;
  }
  for (const char* type : {"", "application/json", "multipart/form-data", "multipart/form-data; boundary=",
                           "multipart/form-data; boundary=\"x", "multipart/mixed; boundary=--x--7"}) {
    EXPECT_FALSE(parse_form_data(type, kForm).has_value()) << type;
  }
  std::string many;
  for (std::size_t i = 0; i <= kMaxFormParts; ++i) many += "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
  EXPECT_FALSE(parse_form_data("multipart/form-data; boundary=b", many + "--b--").has_value());
  EXPECT_FALSE(parse_form_data("multipart/form-data; boundary=b", "--b\r\nX: y\r\n\r\n1\r\n--b--").has_value());
}

std::string line(const std::string& id, const std::string& body = R"({"model":"m","messages":[]})",
                 const std::string& url = "/v1/chat/completions", const std::string& method = "POST") {
  return R"({"custom_id":")" + id + R"(","method":")" + method + R"(","url":")" + url + R"(","body":)" + body + "}\n";
}

TEST(BatchLines, RequestsAreReadInOrder) {
  const BatchLines lines = parse_batch_lines(line("a") + "\n  \r\n" + line("b"), "/v1/chat/completions");
  EXPECT_TRUE(lines.problems.empty());
  ASSERT_EQ(lines.lines.size(), 2U);
  EXPECT_EQ(lines.model, "m");
  EXPECT_EQ(lines.lines[1].custom_id, "b");
  EXPECT_EQ(json::parse(lines.lines[0].body).at("model").as_string(), "m");
}

TEST(BatchLines, EveryWrongLineIsNamed) {
  struct Case {
    std::string text;
    std::string code;
    std::int64_t number;
  };
  for (const Case& c :
       {Case{"", "empty_file", 0}, Case{"\n\n", "empty_file", 0}, Case{line("a") + "{\n", "invalid_json_line", 2},
        Case{"[1]\n", "invalid_json_line", 1}, Case{line("a") + line("a"), "duplicate_custom_id", 2},
        Case{line(""), "missing_required_parameter", 1}, Case{line("a", "7"), "invalid_value", 1},
        Case{line("a", "null"), "missing_required_parameter", 1},
        Case{line("a", "{}", "/v1/embeddings"), "mismatched_url", 1},
        Case{line("a", "{}", "/v1/chat/completions", "GET"), "invalid_method", 1},
        Case{line("a", R"({"stream":true})"), "invalid_value", 1},
        Case{line("a", R"({"model":3})"), "invalid_value", 1},
        Case{line("a") + line("b", R"({"model":"n"})"), "mismatched_model", 2},
        Case{line(std::string(kMaxCustomId + 1, 'x')), "invalid_value", 1}}) {
    const BatchLines lines = parse_batch_lines(c.text, "/v1/chat/completions");
    ASSERT_EQ(lines.problems.size(), 1U) << c.text.substr(0, 100);
    EXPECT_EQ(lines.problems[0].code, c.code) << c.text.substr(0, 100);
    EXPECT_EQ(lines.problems[0].line, c.number);
  }
  std::string bad;
  for (std::size_t i = 0; i < 3 * kMaxBatchErrors; ++i) bad += "x\n";
  EXPECT_EQ(parse_batch_lines(bad, "/v1/embeddings").problems.size(), kMaxBatchErrors);
}

TEST(Batch, ItsRecordComesBackAsItWas) {
  Batch batch;
  batch.id = "batch_1";
  batch.owner = "kid";
  batch.is_public = true;
  batch.endpoint = "/v1/embeddings";
  batch.input_file_id = "file-1";
  batch.output_file_id = "file-2";
  batch.window = "24h";
  batch.metadata = R"({"a":"b"})";
  batch.status = BatchStatus::kFailed;
  batch.problems = {{"x", "said \"so\"", 3}};
  batch.total = 5;
  batch.completed = 2;
  batch.created_s = 7;
  batch.expires_s = 99;
  batch.ended_s = 8;
  const Result<Batch> back = batch_from_record(to_record(batch));
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(to_record(*back), to_record(batch));
  EXPECT_EQ(back->problems.at(0).message, "said \"so\"");
  const json::value shown = json::parse(batch_json(batch));
  EXPECT_EQ(shown.at("status").as_string(), "failed");
  EXPECT_EQ(shown.at("errors").at("data").at(0).at("line").to_number<int>(), 3);
  EXPECT_EQ(shown.at("failed_at").to_number<int>(), 8);
  EXPECT_TRUE(shown.at("completed_at").is_null());
  EXPECT_TRUE(shown.at("output_file_id").is_null()) << "a batch that failed has none";
  EXPECT_EQ(shown.at("metadata").at("a").as_string(), "b");
  for (const char* text :
       {"", "{}", "[]", R"({"id":"x","status":"asleep"})", R"({"id":"x","status":"failed","total":-1})",
        R"({"id":"x","status":"failed","problems":[7]})"}) {
    EXPECT_FALSE(batch_from_record(text).has_value()) << text;
  }
}

TEST(Batch, AWindowIsATimeWithAUnit) {
  EXPECT_EQ(parse_window("24h"), std::chrono::hours(24));
  EXPECT_EQ(parse_window("60s"), std::chrono::minutes(1));
  EXPECT_EQ(parse_window("7d"), std::chrono::hours(168));
  for (const char* text : {"", "h", "24", "59s", "8d", "-1h", "1.5h", "24h ", "99999999999999999999h", "604801s"}) {
    EXPECT_FALSE(parse_window(text).has_value()) << text;
  }
}

TEST(Batch, AResultsLineNamesItsRequest) {
  BatchResult good{
      .custom_id = "a\"b", .request_id = "r", .status = 200, .response_body = R"({"x":1})", .code = {}, .message = {}};
  const std::string text = result_line(good);
  EXPECT_TRUE(text.ends_with("\n"));
  ASSERT_TRUE(names_of(text.substr(0, text.size() - 1)).has_value());
  EXPECT_EQ(names_of(text.substr(0, text.size() - 1))->custom_id, "a\"b");
  const json::value value = json::parse(text);
  EXPECT_EQ(value.at("response").at("body").at("x").to_number<int>(), 1);
  EXPECT_EQ(value.at("response").at("status_code").to_number<int>(), 200);
  EXPECT_TRUE(value.at("error").is_null());
  const BatchResult late{.custom_id = "a",
                         .request_id = "r",
                         .status = 0,
                         .response_body = {},
                         .code = "batch_expired",
                         .message = "late"};
  EXPECT_EQ(json::parse(result_line(late)).at("error").at("code").as_string(), "batch_expired");
  EXPECT_FALSE(names_of(text.substr(0, 20)).has_value()) << "a torn line is none";
}

}  // namespace
}  // namespace dormouse::gateway
