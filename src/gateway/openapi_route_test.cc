// Goal: /openapi.json cannot fall behind the router, and shows a door what it serves. Method: the whole gateway without
// sockets (plan_fixture.h); both lists are compared, both ways.
#include "gateway/openapi_route.h"

#include <boost/json.hpp>
#include <set>

#include "gateway/batches/batches_api.h"
#include "gateway/openapi/openapi.h"
#include "gateway/plan_fixture.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

class OpenApiRouteTest : public PlanFixture {
 protected:
  // With what the house adds to the gateway's own routes.
  void open_whole() {
    open(moment(12, 1));
    files_ = FileStore::open(io_, (directory_ / "files").string(), FileKeeping{}).value();
    batches_ = std::make_unique<BatchRunner>(io_, clock_, *files_, *supervisor_, BatchDoor{}, std::chrono::seconds{0});
    batches_api_.emplace(clock_, *files_, *batches_);
    gateway_->add_batches(*batches_api_);
  }

  std::unique_ptr<FileStore> files_;
  std::unique_ptr<BatchRunner> batches_;
  std::optional<BatchesApi> batches_api_;
};

TEST_F(OpenApiRouteTest, TheDocumentNamesTheRoutersRoutesAndNoOthers) {
  open_whole();
  std::set<std::string> routed;
  for (const Route& route : gateway_->routes()) {
    const bool is_ours = route.access == Access::kSocket || route.access == Access::kConsole;
    if (!is_ours) routed.insert(route.method + " " + route.pattern);
  }
  const std::vector<std::string> names = documented_operations().value();
  const std::set<std::string> documented(names.begin(), names.end());
  EXPECT_EQ(documented.size(), names.size());
  EXPECT_EQ(documented, routed);
  EXPECT_GT(routed.size(), 50U);
}

TEST_F(OpenApiRouteTest, ItIsServedWithATag) {
  open_whole();
  const http::Response first = ask("GET", "/openapi.json");
  ASSERT_EQ(first.status, 200) << first.body;
  const json::object document = json::parse(first.body).as_object();
  EXPECT_TRUE(document.at("paths").as_object().contains("/admin/v1/keys/{kid}")) << "the socket is the operator's";
  ASSERT_TRUE(first.headers.find("etag").has_value());
  EXPECT_EQ(first.headers.find("etag"), ask("GET", "/openapi.json").headers.find("etag"));
}

TEST_F(OpenApiRouteTest, ADoorWithoutTheAdministrationDoesNotSpeakOfIt) {
  open_whole();
  Router router;
  for (const Route& route : gateway_->routes()) router.add(route);
  Door door;
  door.serves_admin = false;
  std::size_t shown = 0;
  for (const Route* route : routes_of(router, door)) {
    EXPECT_FALSE(route->pattern.starts_with("/admin/") || route->pattern == "/metrics") << route->pattern;
    shown += 1;
  }
  EXPECT_GT(shown, 20U);
  door.serves_admin = true;
  const std::vector<const Route*> all = routes_of(router, door);
  EXPECT_EQ(all.size(), documented_operations().value().size());
  EXPECT_GT(all.size(), shown + 20);
}

}  // namespace
}  // namespace dormouse::gateway
