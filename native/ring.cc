#include "ring.h"

#include "addon.h"

namespace tdmf {

// What outlives the JavaScript object: the environment may end while operations are in flight.
class RingCore {
 public:
  RingCore(Napi::Env env, Ring* owner, const SharedTables& shared)
      : executor(shared, Addon::of(env).descriptors), env_(env), owner_(owner) {}

  // 0, or errno; after a failure the core is to be deleted.
  int open() {
    const int error = executor.open();
    if (error != 0) return error;
    uv_loop_t* loop = nullptr;
    napi_get_uv_event_loop(env_, &loop);
    poll_ = new uv_poll_t;
    poll_->data = this;
    const int refused = uv_poll_init(loop, poll_, executor.fd());
    if (refused != 0) {
      delete poll_;
      executor.shut();
      return -refused;
    }
    uv_poll_start(poll_, UV_READABLE, onReadable);
    uv_unref(handle());
    napi_add_async_cleanup_hook(env_, onCleanup, this, &hook_);
    return 0;
  }

  void keepLoopAlive() {
    const bool wanted = executor.inFlight() > 0 || executor.openFiles() > 0;
    if (wanted == alive_ || ending_) return;
    alive_ = wanted;
    if (wanted) uv_ref(handle());
    else uv_unref(handle());
  }

  // Deletes the core, now or when libuv has let go of the poll.
  void end() {
    if (ending_) return;
    ending_ = true;
    uv_poll_stop(poll_);
    executor.quiesce();
    if (owner_ != nullptr) owner_->core_ = nullptr;
    uv_close(handle(), [](uv_handle_t* handle) {
      auto* core = static_cast<RingCore*>(handle->data);
      delete reinterpret_cast<uv_poll_t*>(handle);
      core->executor.shut();
      napi_remove_async_cleanup_hook(core->hook_);
      delete core;
    });
  }

  void orphan() { owner_ = nullptr; }

  Executor executor;

 private:
  uv_handle_t* handle() { return reinterpret_cast<uv_handle_t*>(poll_); }

  static void onReadable(uv_poll_t* poll, int, int) {
    static_cast<RingCore*>(poll->data)->wake();
  }

  static void onCleanup(napi_async_cleanup_hook_handle, void* data) {
    static_cast<RingCore*>(data)->end();
  }

  void wake() {
    const unsigned count = executor.reap();
    if (count == 0) return;
    const Napi::HandleScope scope(env_);
    napi_value function = owner_->wake_.Value(), global = env_.Global(), outcome = nullptr;
    napi_value argument = Napi::Number::New(env_, count);
    if (napi_make_callback(env_, nullptr, global, function, 1, &argument, &outcome) ==
        napi_pending_exception) {
      napi_value error = nullptr;
      napi_get_and_clear_last_exception(env_, &error);
      napi_fatal_exception(env_, error);  // becomes an uncaughtException, as from any callback
    }
    if (!ending_) keepLoopAlive();
  }

  Napi::Env env_;
  Ring* owner_;
  uv_poll_t* poll_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  bool alive_ = false, ending_ = false;
};

Napi::Function Ring::define(Napi::Env env) {
  return DefineClass(env, "Ring",
                     {
                         InstanceMethod<&Ring::addDevice>("addDevice"),
                         InstanceMethod<&Ring::addSocket>("addSocket"),
                         InstanceMethod<&Ring::fileSize>("fileSize"),
                         InstanceMethod<&Ring::setArena>("setArena"),
                         InstanceMethod<&Ring::clearArena>("clearArena"),
                         InstanceMethod<&Ring::submit>("submit"),
                         InstanceMethod<&Ring::reap>("reap"),
                         InstanceMethod<&Ring::limitWorkers>("limitWorkers"),
                         InstanceMethod<&Ring::close>("close"),
                     });
}

Ring::Ring(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Ring>(info), arenas_(kArenasMax) {
  const Napi::Env env = info.Env();
  const Bytes records = requireSharedBytes(info[0], "records");
  const Bytes pieces = requireSharedBytes(info[1], "pieces");
  const Bytes completions = requireSharedBytes(info[2], "completions");
  if (!info[3].IsFunction()) throw Napi::TypeError::New(env, "wake must be a function");
  SharedTables shared;
  shared.records = records.data;
  shared.recordCount = records.length / sizeof(Instruction);
  shared.pieces = pieces.data;
  shared.pieceCount = pieces.length / sizeof(Piece);
  shared.completions = completions.data;
  shared.completionCount = completions.length / sizeof(Completion);
  if (shared.recordCount == 0 || shared.completionCount == 0) {
    throw Napi::RangeError::New(env, "records and completions must hold at least one entry");
  }
  for (size_t index = 0; index < 3; index++) {
    memory_.push_back(Napi::Persistent(info[index].As<Napi::Object>()));
  }
  wake_ = Napi::Persistent(info[3].As<Napi::Function>());
  auto core = std::make_unique<RingCore>(env, this, shared);
  const int error = core->open();
  if (error != 0) throw systemError(env, "io_uring_setup", error);
  core_ = core.release();
  Ref();  // the object lives until close, whether JavaScript still holds it or not
}

Ring::~Ring() {
  if (core_ != nullptr) core_->orphan();
}

RingCore& Ring::core(Napi::Env env) const {
  if (core_ == nullptr) throw Napi::Error::New(env, "the ring is closed");
  return *core_;
}

// addDevice(fd, writable, growable, sizeBytes, alignmentBytes): the index for instructions.
Napi::Value Ring::addDevice(const Napi::CallbackInfo& info) {
  File file;
  file.fd = requireDescriptor(info[0]);
  file.writable = requireBoolean(info[1], "writable");
  file.growable = requireBoolean(info[2], "growable");
  file.sizeBytes = requireUnsigned(info[3], "sizeBytes");
  file.alignmentBytes = static_cast<uint32_t>(requireUnsigned(info[4], "alignmentBytes", 1u << 20));
  if (file.alignmentBytes == 0 || (file.alignmentBytes & (file.alignmentBytes - 1)) != 0) {
    throw Napi::RangeError::New(info.Env(), "alignmentBytes must be a power of two");
  }
  return add(info.Env(), file);
}

// addSocket(fd): the index for instructions.
Napi::Value Ring::addSocket(const Napi::CallbackInfo& info) {
  File file;
  file.fd = requireDescriptor(info[0]);
  file.socket = true;
  return add(info.Env(), file);
}

Napi::Value Ring::add(Napi::Env env, const File& file) {
  RingCore& ring = core(env);
  if (!Addon::of(env).descriptors.owns(file.fd)) throw systemError(env, "add", EBADF);
  const int index = ring.executor.addFile(file);
  if (index < 0) throw systemError(env, "add", ENFILE);
  ring.keepLoopAlive();
  return Napi::Number::New(env, index);
}

// fileSize(index): of a growable file, as far as its writes have taken it.
Napi::Value Ring::fileSize(const Napi::CallbackInfo& info) {
  const File* file = core(info.Env()).executor.file(requireUnsigned(info[0], "file"));
  if (file == nullptr) throw systemError(info.Env(), "fileSize", EBADF);
  return Napi::Number::New(info.Env(), static_cast<double>(file->sizeBytes));
}

// setArena(number, bytes): memory for instructions, known under a number that was free.
Napi::Value Ring::setArena(const Napi::CallbackInfo& info) {
  RingCore& ring = core(info.Env());
  const uint64_t number = requireUnsigned(info[0], "arena", kArenasMax - 1);
  const Bytes bytes = requireSharedBytes(info[1], "bytes");
  if (bytes.length == 0) throw Napi::RangeError::New(info.Env(), "an arena must not be empty");
  if (ring.executor.arena(number).data != nullptr) throw systemError(info.Env(), "setArena", EEXIST);
  arenas_[number] = Napi::Persistent(info[1].As<Napi::Object>());
  ring.executor.setArena(number, bytes.data, bytes.length);
  return info.Env().Undefined();
}

// clearArena(number): refused while an operation uses the memory.
Napi::Value Ring::clearArena(const Napi::CallbackInfo& info) {
  RingCore& ring = core(info.Env());
  const uint64_t number = requireUnsigned(info[0], "arena", kArenasMax - 1);
  if (ring.executor.arena(number).inFlight > 0) throw systemError(info.Env(), "clearArena", EBUSY);
  ring.executor.setArena(number, nullptr, 0);
  arenas_[number].Reset();
  return info.Env().Undefined();
}

// submit(count): executes the first `count` records; returns how many entries the kernel has not
// taken yet (0 but when it is short of memory).
Napi::Value Ring::submit(const Napi::CallbackInfo& info) {
  RingCore& ring = core(info.Env());
  const uint64_t count = requireUnsigned(info[0], "count", ring.executor.submitMax());
  const unsigned left = ring.executor.submit(static_cast<unsigned>(count));
  ring.keepLoopAlive();
  return Napi::Number::New(info.Env(), left);
}

// reap(): how many finished operations now stand in the completions.
Napi::Value Ring::reap(const Napi::CallbackInfo& info) {
  RingCore& ring = core(info.Env());
  const unsigned count = ring.executor.reap();
  ring.keepLoopAlive();
  return Napi::Number::New(info.Env(), count);
}

// limitWorkers(bounded, unbounded): kernel threads for what cannot be done without waiting (Rule 45).
Napi::Value Ring::limitWorkers(const Napi::CallbackInfo& info) {
  const unsigned bounded = static_cast<unsigned>(requireUnsigned(info[0], "bounded", 4096));
  const unsigned unbounded = static_cast<unsigned>(requireUnsigned(info[1], "unbounded", 4096));
  const int error = core(info.Env()).executor.limitWorkers(bounded, unbounded);
  if (error != 0) throw systemError(info.Env(), "io_uring_register", error);
  return info.Env().Undefined();
}

// close(): cancels what is in flight and waits for it; nothing is reported any more.
Napi::Value Ring::close(const Napi::CallbackInfo& info) {
  core(info.Env()).end();
  for (auto& arena : arenas_) arena.Reset();
  Unref();
  return info.Env().Undefined();
}

Napi::Value probe(const Napi::CallbackInfo& info) {
  Uring uring;
  const int error = uring.open(8, 16);
  if (error == 0) uring.close();
  return Napi::Number::New(info.Env(), error);
}

}  // namespace tdmf
