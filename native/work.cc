#include "work.h"

namespace tdmf {

namespace {

struct Pending {
  std::unique_ptr<Job> job;
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
};

void execute(napi_env, void* data) { static_cast<Pending*>(data)->job->run(); }

// Uses the C interface on purpose: every status must be looked at, because the environment may be
// ending, and nothing may throw here.
void complete(napi_env env, napi_status status, void* data) {
  const std::unique_ptr<Pending> pending(static_cast<Pending*>(data));
  Job& job = *pending->job;
  bool seen = false;
  if (status == napi_ok) {
    try {
      if (job.error != 0) {
        const napi_value reason = systemError(env, job.syscall, job.error).Value();
        seen = napi_reject_deferred(env, pending->deferred, reason) == napi_ok;
      } else {
        const napi_value value = job.result(env);
        seen = napi_resolve_deferred(env, pending->deferred, value) == napi_ok;
      }
    } catch (const Napi::Error&) {
      seen = false;
    }
  }
  if (!seen) job.discard();
  napi_delete_async_work(env, pending->work);
}

}  // namespace

Napi::Value startJob(Napi::Env env, std::unique_ptr<Job> job) {
  auto pending = std::make_unique<Pending>();
  pending->job = std::move(job);
  napi_value promise = nullptr, name = Napi::String::New(env, "tdmf");
  if (napi_create_promise(env, &pending->deferred, &promise) != napi_ok ||
      napi_create_async_work(env, nullptr, name, execute, complete, pending.get(),
                             &pending->work) != napi_ok ||
      napi_queue_async_work(env, pending->work) != napi_ok) {
    throw Napi::Error::New(env, "the job could not be queued");
  }
  pending.release();
  return Napi::Value(env, promise);
}

}  // namespace tdmf
