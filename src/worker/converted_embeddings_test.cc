// Goal: vectors of a model that was converted from Qwen3-Embedding's form are made as its makers meant: the state of
// the token that is put behind every text. Method: a folder of noise through the converter, the real engine on
// it.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <memory>

#include "worker/convert/convert.h"
#include "worker/convert/hf_folder_fixture.h"
#include "worker/model.h"
#include "worker/tools/synth.h"
#include "worker/worker_fixture_test.h"

namespace dormouse::worker {
namespace {

class ConvertedEmbeddings : public HfFolderTest {
 protected:
  // A worker of the folder as it is.
  std::unique_ptr<WorkerHarness> serve() const {
    const auto report = convert_checkpoint({.directory = folder(),
                                            .out_path = out("x.gguf"),
                                            .file_type = *find_file_type("F32"),
                                            .name = "Tiny",
                                            .threads = 1});
    EXPECT_TRUE(report.has_value()) << (report ? "" : report.error().message);
    LoadOptions load;
    load.path = out("x.gguf");
    load.max_sequences = 4;
    load.max_batch_tokens = 64;
    load.threads = 1;
    auto harness = std::make_unique<WorkerHarness>(of_file(std::move(load)));
    EXPECT_TRUE(harness->wait_ready());
    return harness;
  }
  static boost::json::value ask(WorkerHarness& harness, const std::string& input, const std::string& more = "") {
    const http::RawAnswer answer = harness.post("/v1/embeddings", R"({"input":)" + input + more + "}");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return boost::json::parse(answer.body);
  }
  static boost::json::value vector_of(const boost::json::value& body) { return body.at("data").at(0).at("embedding"); }
};

TEST_F(ConvertedEmbeddings, AreTheStateOfTheTokenBehindTheText) {
  const SynthOptions noise{.config = *find_synth_config("tiny"),
                           .file_type = *find_file_type("F32"),
                           .seed = 7,
                           .vocabulary_directory = {},
                           .chat_template = {},
                           .out_path = out("noise.gguf")};
  ASSERT_TRUE(synthesize(noise).has_value());
  write_embedding_folder(folder(), gguf::File::open(out("noise.gguf")).value());
  const std::unique_ptr<WorkerHarness> harness = serve();
  const boost::json::value text = ask(*harness, R"("ab")");
  // 480 is <|endoftext|> in the fixture's table.
  const boost::json::value tokens =
      boost::json::parse(harness->post("/tokenize", R"({"prompt":"ab"})").body).at("tokens");
  boost::json::array with_end = tokens.as_array();
  EXPECT_EQ(text.at("usage").at("prompt_tokens").to_number<std::size_t>(), with_end.size() + 1);
  EXPECT_NE(vector_of(text), vector_of(ask(*harness, boost::json::serialize(with_end))));
  with_end.emplace_back(480);
  EXPECT_EQ(vector_of(text), vector_of(ask(*harness, boost::json::serialize(with_end))));
  EXPECT_EQ(vector_of(text), vector_of(ask(*harness, R"("ab")", R"(,"pooling":"last")")));
  EXPECT_NE(vector_of(text), vector_of(ask(*harness, R"("ab")", R"(,"pooling":"mean")")));
}

}  // namespace
}  // namespace dormouse::worker
