// Goal: what is wrong in a request to the admin API is refused and named, never taken for something else. Method: the
// whole gateway without sockets (plan_fixture.h); each row was once taken (tests/clients/generated.mjs found it).
#include <boost/json.hpp>

#include "gateway/plan_fixture.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

struct AdminInputRow {
  const char* method;
  const char* path;
  const char* query;
  const char* body;
  const char* param;  // nullptr: the refusal names none
};

class AdminInputTest : public PlanFixture, public ::testing::WithParamInterface<AdminInputRow> {};

TEST_P(AdminInputTest, IsRefusedByName) {
  open(moment(12, 1));
  const AdminInputRow& row = GetParam();
  const http::Response got = ask(row.method, row.path, row.query, row.body);
  ASSERT_EQ(got.status, 400) << got.body;
  const json::value param = json::parse(got.body).at("error").at("param");
  if (row.param == nullptr) {
    EXPECT_TRUE(param.is_null()) << got.body;
  } else {
    EXPECT_EQ(std::string(param.as_string()), row.param);
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, AdminInputTest,
                         ::testing::Values(AdminInputRow{"DELETE", "/admin/v1/keys/x", "children=yes", "", "children"},
                                           AdminInputRow{"DELETE", "/admin/v1/keys/x", "children=", "", "children"},
                                           AdminInputRow{"GET", "/admin/v1/keys", "limit=", "", "limit"},
                                           AdminInputRow{"GET", "/admin/v1/keys", "limit=1001", "", "limit"},
                                           AdminInputRow{"GET", "/admin/v1/keys", "limit=%zz", "", nullptr},
                                           AdminInputRow{"GET", "/admin/v1/usage", "by=error&limit=", "", "limit"},
                                           AdminInputRow{"POST", "/admin/v1/keys", "", "[]", nullptr},
                                           AdminInputRow{"POST", "/admin/v1/deployments", "",
                                                         R"({"image":"qwen3-4b","name":5})", "name"}));

class AssumedPlanTest : public PlanFixture {};

TEST_F(AssumedPlanTest, RequestsThatTakeNoTimeAreNoInfinityInJson) {
  open(moment(12, 1));
  const http::Response got = ask("POST", "/admin/v1/plan", "",
                                 R"({"requests_per_day":1000,"seconds_per_request":5e-324,"instance_type":"t4"})");
  ASSERT_EQ(got.status, 200) << got.body;
  EXPECT_TRUE(json::parse(got.body).at("plan").at("naive_break_even_requests_per_day").is_null());
}

}  // namespace
}  // namespace dormouse::gateway
