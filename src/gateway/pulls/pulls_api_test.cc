// Goal: whoever administers starts, sees and stops downloads of the gallery's images, and cannot make the server fetch
// anything else (S-28). Method: the whole gateway without sockets (plan_fixture.h) and a hub on this machine. Who may
// call the routes, and the events, are tested in tests/e2e/pull_test.cc.
#include <boost/json.hpp>

#include "catalog/image_name.h"
#include "gateway/plan_fixture.h"
#include "gateway/pulls/hub_fixture_test.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

constexpr const char* kPull = "/admin/v1/images/tiny:q8_0/pull";

class PullsApiTest : public PlanFixture {
 protected:
  void SetUp() override {
    PlanFixture::SetUp();
    model_directories_ = {(directory_ / "models").string()};
    open(moment(12, 1));
    catalog::Image tiny;
    tiny.name = "tiny";
    tiny.tag = "q8_0";
    tiny.file = "tiny.gguf";
    tiny.runtimes = {"builtin"};
    tiny.huggingface = "Acme/Tiny-GGUF";
    tiny.sha256 = sha256_of_text(content_);
    tiny.keys = {catalog::canonical_image_key("tiny:q8_0")};
    ASSERT_TRUE(catalog_->put(tiny).has_value());
    PullServiceOptions options;
    options.directories = model_directories_;
    options.pull_options = [this] {
      catalog::PullOptions out;
      out.endpoints = {.huggingface = hub_.url(), .modelscope = hub_.url()};
      EXPECT_TRUE(out.hosts.allow(hub_.url()).has_value());
      out.piece_bytes = 100'000;
      out.connections = 1;
      return out;
    };
    pulls_.emplace(io_, clock_, std::move(options));
    gateway_->set_pulls(&*pulls_);
  }
  void TearDown() override {
    PlanFixture::TearDown();
    pulls_.reset();
  }
  json::object tiny() {
    const http::Response listed = ask("GET", "/admin/v1/images", "q=tiny");
    EXPECT_EQ(listed.status, 200) << listed.body;
    return json::parse(listed.body).at("images").at(0).as_object();
  }
  bool until(const std::function<bool(const json::object&)>& condition) {
    return fleet::run_until(io_, [&] { return condition(tiny()); });
  }

  const std::string content_ = gguf_of(350'000);
  GatedHub hub_{{{"Acme/Tiny-GGUF", content_}}};
  std::optional<PullService> pulls_;
};

TEST_F(PullsApiTest, AnImageIsFetchedWatchedStoppedTakenUpAndDeployed) {
  hub_.let(2);
  EXPECT_TRUE(tiny().at("pull").is_null());
  const http::Response started = ask("POST", kPull, "", R"({"source":"huggingface"})");
  ASSERT_EQ(started.status, 202) << started.body;
  EXPECT_EQ(json::parse(started.body).at("pull").at("state"), "running");
  ASSERT_TRUE(until([](const json::object& image) { return image.at("pull").at("done") == 200'000; }));
  const json::object running = tiny().at("pull").as_object();
  EXPECT_EQ(running.at("reference"), "tiny:q8_0");
  EXPECT_EQ(running.at("stage"), "loading");
  EXPECT_EQ(running.at("total"), 350'000);
  EXPECT_EQ(running.at("source"), "huggingface");
  EXPECT_TRUE(running.at("error").is_null());
  const json::value status = json::parse(ask("GET", "/admin/v1/status").body);
  EXPECT_EQ(status.at("pulls").at(0), running) << "as whoever watches is told";

  const http::Response cancelled = ask("DELETE", kPull);
  ASSERT_EQ(cancelled.status, 200) << cancelled.body;
  EXPECT_EQ(json::parse(cancelled.body).at("pull").at("state"), "cancelled");
  ASSERT_TRUE(until([](const json::object& image) { return image.at("part_bytes") == 200'000; }));
  EXPECT_NE(ask("POST", "/admin/v1/deployments", "", R"({"image":"tiny:q8_0","name":"early"})").status, 200);

  EXPECT_EQ(ask("POST", kPull).status, 202) << "a body is not needed";
  hub_.open();
  ASSERT_TRUE(until([](const json::object& image) { return image.at("is_present").as_bool(); }));
  ASSERT_TRUE(until([](const json::object& image) { return image.at("pull").is_null(); }));
  EXPECT_TRUE(tiny().at("part_bytes").is_null());
  EXPECT_EQ(hub_.asked_from("Acme/Tiny-GGUF", 0), 1);
  const http::Response again = ask("POST", kPull);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(json::parse(again.body).at("is_present"), true);
  const http::Response deployed = ask("POST", "/admin/v1/deployments", "", R"({"image":"tiny:q8_0","name":"tiny"})");
  EXPECT_EQ(deployed.status, 200) << deployed.body;
}

TEST_F(PullsApiTest, NothingButAnImageOfTheGalleryAndAHubCanBeNamed) {
  hub_.open();
  for (const char* body : {R"({"source":"http://169.254.169.254/x"})", R"({"source":"https://huggingface.co/x"})",
                           R"({"source":"/etc/passwd"})", R"({"source":"file:///etc/passwd"})", R"({"source":""})",
                           R"({"source":null})", R"({"source":["huggingface"]})", R"({"url":"http://127.0.0.1/x"})",
                           R"({"sha256":"00"})", "[]", "null", "{", R"({"source":"modelscope"})"}) {
    const http::Response refused = ask("POST", kPull, "", body);
    EXPECT_EQ(refused.status, 400) << body << ": " << refused.body;
  }
  for (const char* path :
       {"/admin/v1/images/file:tiny.gguf/pull", "/admin/v1/images/tiny.gguf/pull", "/admin/v1/images/nobody:q8_0/pull",
        "/admin/v1/images/http:127.0.0.1/pull", "/admin/v1/images/..%2ftiny.gguf/pull"}) {
    for (const char* method : {"POST", "DELETE"}) {
      const http::Response refused = ask(method, path);
      EXPECT_EQ(refused.status, 404) << path << ": " << refused.body;
    }
  }
  const http::Response of_runtime = ask("POST", "/admin/v1/images/qwen3-4b-vllm:latest/pull");
  EXPECT_EQ(of_runtime.status, 400) << of_runtime.body;
  EXPECT_TRUE(hub_.server().seen().empty()) << "nobody was asked for anything";
  EXPECT_TRUE(pulls_->views().empty());
}

TEST_F(PullsApiTest, ADrainingServerBeginsNothing) {
  gateway_->begin_draining();
  EXPECT_EQ(ask("POST", kPull).status, 503);
  EXPECT_EQ(ask("DELETE", kPull).status, 200);
}

}  // namespace
}  // namespace dormouse::gateway
