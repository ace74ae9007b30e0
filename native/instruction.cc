#include "instruction.h"

namespace tdmf {

Napi::Object instructionConstants(Napi::Env env) {
  auto all = Napi::Object::New(env);
  const auto put = [&](const char* name, double value) {
    all.Set(name, Napi::Number::New(env, value));
  };
  put("opRead", kRead);
  put("opWrite", kWrite);
  put("opFlush", kFlush);
  put("opPunch", kPunch);
  put("opZeroRange", kZeroRange);
  put("opReceive", kReceive);
  put("opSend", kSend);
  put("opClose", kClose);
  put("flagDurable", kFlagDurable);
  put("flagExtend", kFlagExtend);
  put("instructionBytes", sizeof(Instruction));
  put("pieceBytes", sizeof(Piece));
  put("completionBytes", sizeof(Completion));
  put("filesMax", kFilesMax);
  put("arenasMax", kArenasMax);
  put("opsMax", kOpsMax);
  return all;
}

}  // namespace tdmf
