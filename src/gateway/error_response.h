// Where refusals and internal errors become what a client may see: one switch each.
#pragma once

#include "api/error_table.h"
#include "fleet/supervisor.h"
#include "gateway/call.h"

namespace dormouse::gateway {

[[nodiscard]] api::ApiError from_refusal(const fleet::Refusal& refusal);
[[nodiscard]] api::ApiError from_stop(StopReason reason);
[[nodiscard]] api::ApiError from_ledger(const Error& error);
// For an operator, who may see the reason that api::from_error hides. A message "KEY: ..." names its parameter.
// `unavailable`: what could not be had, for kUnavailable.
[[nodiscard]] api::ApiError from_admin(const Error& error, api::ErrorCode unavailable);
// Why a download ended.
[[nodiscard]] api::ApiError from_pull(const Error& error);
// An admin report or plan that cannot be: from_admin(), where every "NAME: ..." names the parameter.
Task<void> reply_failure(Call& call, const Error& failure);

}  // namespace dormouse::gateway
