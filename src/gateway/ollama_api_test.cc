// Goal: what Ollama's clients are told before anything runs: models, versions, refusals in their form; and that looking
// wakes nothing. Method: the whole gateway without sockets (plan_fixture.h); what runs is tests/clients/ollama.mjs.
#include "gateway/ollama_api.h"

#include <boost/json.hpp>
#include <fstream>

#include "gateway/plan_fixture.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

class OllamaApiTest : public PlanFixture {
 protected:
  void SetUp() override {
    PlanFixture::SetUp();
    open(moment(11, 20));
  }
  json::object ok(const std::string& method, const std::string& path, const std::string& body = "") {
    const http::Response got = ask(method, path, "", body);
    EXPECT_EQ(got.status, 200) << got.body;
    return json::parse(got.body).as_object();
  }
  // The text of a refusal, which is a text and nothing else.
  std::string refused(int status, const std::string& method, const std::string& path, const std::string& body = "") {
    const http::Response got = ask(method, path, "", body);
    EXPECT_EQ(got.status, status) << got.body;
    const json::object object = json::parse(got.body).as_object();
    EXPECT_EQ(object.size(), 1U) << got.body;
    return std::string(object.at("error").as_string());
  }
  void expect_asleep() const {
    EXPECT_TRUE(driver_.starts.empty());
    for (const fleet::DeploymentStatus& status : supervisor_->status()) EXPECT_EQ(status.state, "asleep");
  }
};

TEST_F(OllamaApiTest, LookingTellsWhatIsKnownAndWakesNothing) {
  const http::Response root = ask("GET", "/");
  EXPECT_EQ(root.status, 200);
  EXPECT_EQ(root.body, "Ollama is running");
  EXPECT_EQ(ok("GET", "/api/version").at("version"), kOllamaVersion);
  EXPECT_TRUE(ok("GET", "/api/ps").at("models").as_array().empty());
  const json::object tags = ok("GET", "/api/tags");
  ASSERT_EQ(tags.at("models").as_array().size(), 1U);
  const json::object& model = tags.at("models").as_array()[0].as_object();
  EXPECT_EQ(model.at("name"), "chat:latest");
  EXPECT_EQ(model.at("model"), "chat:latest");
  EXPECT_EQ(model.at("digest").as_string().size(), 64U);
  for (const char* body : {R"({"model":"chat"})", R"({"name":"chat:latest"})", "{}"}) {
    const json::object shown = ok("POST", "/api/show", body);
    EXPECT_EQ(shown.at("model_info").at("general.architecture"), "qwen3");
    EXPECT_EQ(shown.at("details").at("family"), "qwen3");
    EXPECT_EQ(shown.at("capabilities"), (json::array{"completion", "tools", "thinking"}));
  }
  expect_asleep();
}

TEST_F(OllamaApiTest, APullOfWhatIsHereSucceedsAndOfAnythingElseSaysWhatToDo) {
  const http::Response lines = ask("POST", "/api/pull", "", R"({"model":"chat"})");
  EXPECT_EQ(lines.headers.find("content-type"), "application/x-ndjson");
  EXPECT_TRUE(lines.body.ends_with("{\"status\":\"success\"}\n")) << lines.body;
  EXPECT_EQ(ok("POST", "/api/pull", R"({"model":"chat","stream":false})").at("status"), "success");
  EXPECT_NE(refused(404, "POST", "/api/pull", R"({"model":"llama3"})").find("dormouse deploy"), std::string::npos);
  expect_asleep();
}

TEST_F(OllamaApiTest, AnUnloadOfWhatSleepsIsDoneAtOnce) {
  EXPECT_EQ(ok("POST", "/api/generate", R"({"model":"chat","keep_alive":0})").at("done_reason"), "unload");
  EXPECT_EQ(ok("POST", "/api/chat", R"({"model":"chat","messages":[],"keep_alive":"0"})").at("done_reason"), "unload");
  EXPECT_EQ(ok("POST", "/api/embed", R"({"model":"chat","input":[],"keep_alive":0})").at("embeddings"), json::array{});
  EXPECT_EQ(ok("POST", "/api/embeddings", R"({"model":"chat","keep_alive":0})").at("embedding"), json::array{});
  expect_asleep();
}

TEST_F(OllamaApiTest, RefusalsAreTexts) {
  const std::string say = R"("messages":[{"role":"user","content":"x"}]})";
  EXPECT_EQ(refused(404, "POST", "/api/chat", R"({"model":"nobody",)" + say), "model 'nobody' not found");
  EXPECT_EQ(refused(404, "POST", "/api/show", R"({"model":"nobody"})"), "model 'nobody' not found");
  EXPECT_FALSE(refused(400, "POST", "/api/chat", "{").empty());
  EXPECT_NE(refused(400, "POST", "/api/chat", R"({"options":{"seed":"x"},)" + say).find("options.seed"),
            std::string::npos);
  EXPECT_FALSE(refused(404, "POST", "/api/nothing").empty());
  EXPECT_FALSE(refused(405, "GET", "/api/chat").empty());
  EXPECT_EQ(refused(404, "POST", "/api/embed", R"({"model":"nobody","input":"x"})"), "model 'nobody' not found");
  EXPECT_NE(refused(400, "POST", "/api/embed", R"({"input":[7]})").find("input"), std::string::npos);
  EXPECT_NE(refused(400, "POST", "/api/embeddings", R"({"prompt":7})").find("prompt"), std::string::npos);
  deploy("other", "t4");
  EXPECT_EQ(refused(400, "POST", "/api/chat", "{" + say), "model is required");
  EXPECT_TRUE(json::parse(ask("GET", "/v1/models/nobody").body).at("error").is_object()) << "OpenAI's stay OpenAI's";
  expect_asleep();
}

TEST(OllamaModels, AFileSaysItsSizeAndAnotherFileIsAnotherDigest) {
  const catalog::Catalog catalog = catalog::Catalog::built_in().value();
  const std::string path = (std::filesystem::temp_directory_path() / ("dormouse-model-" + random_hex(6))).string();
  Deployment deployment;
  deployment.name = "chat";
  deployment.image = "qwen3-demo:q8_0";
  deployment.model_path = path;
  deployment.created = 5;
  deployment.rules.context_length = 4'096;
  const OllamaModel missing = describe_for_ollama(deployment, catalog);
  EXPECT_EQ(missing.bytes, 0);
  EXPECT_EQ(missing.modified.us, 5'000'000);
  std::ofstream(path) << "weights";
  OllamaModel here = describe_for_ollama(deployment, catalog);
  EXPECT_EQ(here.bytes, 7);
  EXPECT_NE(here.digest, missing.digest);
  EXPECT_EQ(here.quantisation, "Q8_0");
  EXPECT_EQ(here.family, "qwen3");
  std::filesystem::remove(path);

  const json::value shown = json::parse(ollama_show(here));
  EXPECT_EQ(shown.at("model_info").at("qwen3.context_length"), 4'096);
  const json::value ps = json::parse(ollama_ps({{.model = here, .expires = {1'000'000}, .is_on_gpu = true}}));
  EXPECT_EQ(ps.at("models").at(0).at("size_vram"), 7);
  EXPECT_EQ(ps.at("models").at(0).at("expires_at"), "1970-01-01T00:00:01.000000Z");
  deployment.image = "file:x.gguf";
  deployment.rules.runtime = "vllm";
  EXPECT_EQ(describe_for_ollama(deployment, catalog).family, "unknown");
}

}  // namespace
}  // namespace dormouse::gateway
