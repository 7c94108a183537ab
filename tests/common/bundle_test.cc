// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "common/bundle_reader.h"
#include "common/bundle_verify.h"
#include "common/bundle_writer.h"
#include "common/file.h"
#include "tests/support/bundle_bytes.h"
#include "tests/support/temp_dir.h"

namespace culprit {
namespace {

BundleVerdict Verify(const std::string& bytes, const TrustedSigner& trusted = {}) {
  auto verdict = VerifyBundle(SourceOfBytes(bytes), trusted);
  EXPECT_TRUE(verdict) << verdict.error().message;
  return verdict ? std::move(*verdict) : BundleVerdict();
}

bool Has(const BundleVerdict& verdict, BundleDefect defect, std::string_view what = "") {
  return std::any_of(verdict.findings.begin(), verdict.findings.end(), [&](const BundleFinding& f) {
    return f.defect == defect && f.what.find(what) != std::string::npos;
  });
}

std::string Told(const BundleVerdict& verdict) {
  std::string text;
  for (const BundleFinding& f : verdict.findings)
    text += std::string(DefectName(f.defect)) + ": " + f.what + "\n";
  return text;
}

TEST(Bundle, WhatWasWrittenVerifies) {
  const TestBundle bundle = MakeTestBundle();
  const BundleVerdict verdict = Verify(bundle.bytes, {bundle.key, ""});
  EXPECT_TRUE(verdict.good()) << Told(verdict);
  EXPECT_TRUE(verdict.trusted);
  EXPECT_EQ(verdict.tiers.size(), 2U);
  ASSERT_TRUE(verdict.head && verdict.end);
  EXPECT_EQ(verdict.head->instance_id, "i-0123456789abcdef0");
  EXPECT_TRUE(Verify(bundle.bytes, {std::nullopt, SshFingerprint(bundle.key)}).trusted);
  EXPECT_FALSE(Verify(bundle.bytes).trusted);
}

TEST(Bundle, EveryTruncationIsToldAndWholeTiersAreKept) {
  const TestBundle bundle = MakeTestBundle();
  std::size_t most = 0;
  for (std::size_t length = 0; length < bundle.bytes.size(); length += 1 + length / 64) {
    const BundleVerdict verdict = Verify(bundle.bytes.substr(0, length));
    ASSERT_TRUE(Has(verdict, BundleDefect::kTruncated)) << length << " " << Told(verdict);
    ASSERT_GE(verdict.tiers.size(), most);
    most = verdict.tiers.size();
  }
  EXPECT_EQ(most, 2U);
}

TEST(Bundle, ACutBehindATierLeavesItWholeAndSigned) {
  const TestBundle bundle = MakeTestBundle();
  const BundleVerdict verdict = Verify(bundle.bytes.substr(0, bundle.tier_ends.at(0)));
  EXPECT_EQ(verdict.tiers.size(), 1U);
  EXPECT_TRUE(Has(verdict, BundleDefect::kTruncated)) << Told(verdict);
  EXPECT_FALSE(verdict.trusted);
}

TEST(Bundle, NoFlippedByteGoesUnseen) {
  const TestBundle bundle = MakeTestBundle();
  for (std::size_t at = 0; at < bundle.bytes.size(); at += 7) {
    std::string bytes = bundle.bytes;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    if (!Verify(bytes, {bundle.key, ""}).good()) continue;
    // Said in other words by the compressor, it is the same.
    const std::vector<TarMember> was = UnpackBundle(bundle.bytes), is = UnpackBundle(bytes);
    ASSERT_EQ(was.size(), is.size()) << "byte " << at;
    for (std::size_t i = 0; i < was.size(); ++i) ASSERT_EQ(was[i].bytes, is[i].bytes) << at;
  }
}

TEST(Bundle, BytesBehindTheEndAreAdded) {
  const TestBundle bundle = MakeTestBundle();
  const BundleVerdict verdict = Verify(bundle.bytes + CompressFrame("more"));
  EXPECT_TRUE(Has(verdict, BundleDefect::kAdded)) << Told(verdict);
}

struct Forgery {
  const char* name;
  void (*apply)(std::vector<TarMember>*);
  BundleDefect defect;
  const char* what;
};

std::size_t IndexOf(const std::vector<TarMember>& members, std::string_view name) {
  for (std::size_t i = 0; i < members.size(); ++i)
    if (members[i].name == name) return i;
  std::abort();
}

constexpr const char* kPasswd = "[root]/etc/passwd";
constexpr const char* kTable = "live/processes.jsonl";

const Forgery kForgeries[] = {
    {"edited member", [](auto* m) { (*m)[IndexOf(*m, kPasswd)].bytes[0] = 'R'; },
     BundleDefect::kEdited, kPasswd},
    {"longer member", [](auto* m) { (*m)[IndexOf(*m, kPasswd)].bytes += "x"; },
     BundleDefect::kEdited, kPasswd},
    {"removed member",
     [](auto* m) { m->erase(m->begin() + static_cast<long>(IndexOf(*m, kPasswd))); },
     BundleDefect::kMissing, kPasswd},
    {"added member",
     [](auto* m) {
       m->insert(m->begin(), TarMember{"[root]/etc/shadow", "x"});
     },
     BundleDefect::kAdded, "[root]/etc/shadow"},
    {"member twice", [](auto* m) { m->push_back((*m)[IndexOf(*m, kPasswd)]); },
     BundleDefect::kAdded, kPasswd},
    {"reordered members",
     [](auto* m) { std::swap((*m)[IndexOf(*m, kPasswd)], (*m)[IndexOf(*m, kTable)]); },
     BundleDefect::kReordered, kTable},
    {"edited manifest",
     [](auto* m) {
       std::string& text = (*m)[IndexOf(*m, kManifestName)].bytes;
       text.replace(text.find("i-0123"), 6, "i-9123");
     },
     BundleDefect::kBadSignature, "edited"},
    {"line of the manifest removed",
     [](auto* m) {
       std::string& text = (*m)[IndexOf(*m, kManifestName)].bytes;
       const std::size_t from = text.find('\n') + 1;
       text.erase(from, text.find('\n', from) + 1 - from);
     },
     BundleDefect::kEdited, "line 2"},
    {"signature of another",
     [](auto* m) {
       (*m)[IndexOf(*m, kSignatureName)].bytes =
           (*m)[IndexOf(*m, "manifest-tier0.jsonl.sig")].bytes;
     },
     BundleDefect::kBadSignature, "manifest.jsonl"},
    {"manifest dropped", [](auto* m) { m->resize(IndexOf(*m, kManifestName)); },
     BundleDefect::kTruncated, "without the whole manifest"},
};

TEST(Bundle, EachForgeryIsNamed) {
  const TestBundle bundle = MakeTestBundle();
  for (const Forgery& forgery : kForgeries) {
    std::vector<TarMember> members = UnpackBundle(bundle.bytes);
    forgery.apply(&members);
    const BundleVerdict verdict = Verify(PackBundle(members), {bundle.key, ""});
    EXPECT_TRUE(Has(verdict, forgery.defect, forgery.what)) << forgery.name << "\n"
                                                            << Told(verdict);
    EXPECT_FALSE(verdict.trusted) << forgery.name;
  }
}

TEST(Bundle, AnUnchangedRepackIsGood) {
  const TestBundle bundle = MakeTestBundle();
  EXPECT_TRUE(Verify(PackBundle(UnpackBundle(bundle.bytes)), {bundle.key, ""}).good());
}

TEST(Bundle, AnotherKeyIsTheWrongOne) {
  const TestBundle one = MakeTestBundle(), other = MakeTestBundle();
  const BundleVerdict verdict = Verify(one.bytes, {other.key, ""});
  EXPECT_TRUE(Has(verdict, BundleDefect::kWrongKey, SshFingerprint(one.key))) << Told(verdict);
  EXPECT_FALSE(verdict.trusted);
  std::vector<TarMember> mixed = UnpackBundle(one.bytes);
  const std::vector<TarMember> from = UnpackBundle(other.bytes);
  for (const char* name : {"manifest.jsonl", "manifest.jsonl.sig"})
    mixed[IndexOf(mixed, name)].bytes = from[IndexOf(from, name)].bytes;
  EXPECT_TRUE(Has(Verify(PackBundle(mixed)), BundleDefect::kWrongKey));
}

TEST(Bundle, OnlyPlainFilesAreMembers) {
  for (const char type : {'1', '2', '3', '5', '6'}) {
    const BundleVerdict verdict = Verify(PackBundle({{"x", "", type}}));
    EXPECT_TRUE(Has(verdict, BundleDefect::kDamaged, "plain file")) << type << Told(verdict);
  }
}

TEST(Bundle, MoreThanTheLimitsIsRefused) {
  const TestBundle bundle = MakeTestBundle();
  for (const BundleLimits& limits : {BundleLimits{3, 1 << 30}, BundleLimits{1000, 100}}) {
    const auto verdict = VerifyBundle(SourceOfBytes(bundle.bytes), {}, limits);
    ASSERT_TRUE(verdict);
    EXPECT_TRUE(Has(*verdict, BundleDefect::kDamaged, "more in it")) << Told(*verdict);
  }
}

TEST(Bundle, AMemberThatFellShortIsZerosAndSaysSo) {
  std::string bytes;
  auto key = Ed25519Key::Make();
  ASSERT_TRUE(key);
  auto writer = BundleWriter::Open({}, std::move(*key), [&](std::string_view b) {
    bytes.append(b);
    return Ok();
  });
  ASSERT_TRUE(writer);
  BundleMember member;
  member.name = "x";
  ASSERT_TRUE((*writer)->Begin(member, 10));
  ASSERT_TRUE((*writer)->Write("abc"));
  ASSERT_TRUE((*writer)->End({}, true, {"shrank"}));
  ASSERT_TRUE((*writer)->Close({}));
  const std::vector<TarMember> members = UnpackBundle(bytes);
  EXPECT_EQ(members[IndexOf(members, "x")].bytes, std::string("abc") + std::string(7, '\0'));
  const BundleVerdict verdict = Verify(bytes);
  EXPECT_TRUE(verdict.good()) << Told(verdict);
  EXPECT_EQ(verdict.cut_members, 1U);
  EXPECT_NE(members[IndexOf(members, kManifestName)].bytes.find("last 7 bytes are zeros"),
            std::string::npos);
}

TEST(Bundle, AFailingSinkEndsTheWriting) {
  auto key = Ed25519Key::Make();
  ASSERT_TRUE(key);
  std::size_t room = 300;
  auto writer = BundleWriter::Open({}, std::move(*key), [&](std::string_view b) -> Status {
    if (b.size() > room) return MakeError(Code::kResourceExhausted, "disk full");
    room -= b.size();
    return Ok();
  });
  ASSERT_TRUE(writer);
  Status status = Ok();
  for (int i = 0; i < 1000 && status; ++i) {
    BundleMember member;
    member.name = "m";
    status = (*writer)->Add(member, TestNoise(4096, static_cast<unsigned>(i)));
  }
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "disk full");
  EXPECT_FALSE((*writer)->Close({}));
}

TEST(MemberName, StaysUnderTheRootAndIsPlain) {
  const std::pair<const char*, const char*> cases[] = {
      {"/etc/passwd", "[root]/etc/passwd"},
      {"/../../etc/./x", "[root]/etc/x"},
      {"/tmp/a b\n\x1b[31m", "[root]/tmp/a%20b%0A%1B[31m"},
      {"/tmp/100%", "[root]/tmp/100%25"},
      {"//x", "[root]/x"},
      {"", "[root]"},
  };
  for (const auto& [path, name] : cases) EXPECT_EQ(MemberNameOf(path), name);
  const std::string a = MemberNameOf("/" + std::string(4000, 'a') + "1");
  const std::string b = MemberNameOf("/" + std::string(4000, 'a') + "2");
  EXPECT_LE(a.size(), kMaxMemberName);
  EXPECT_NE(a, b);
}

// Stock tools know the signature's form.
TEST(SshSignature, SshKeygenAgrees) {
  const TempDir dir;
  auto key = Ed25519Key::LoadOrMake(dir.path() + "/key");
  ASSERT_TRUE(key) << key.error().message;
  const std::string message = "evidence\n";
  const auto signature = key->Sign("culprit-snapshot", message);
  ASSERT_TRUE(signature);
  ASSERT_TRUE(WriteFileAtomically(dir.path() + "/m", message));
  ASSERT_TRUE(WriteFileAtomically(dir.path() + "/m.sig", *signature));
  ASSERT_TRUE(WriteFileAtomically(dir.path() + "/signers",
                                  "agent " + SshPublicKeyText(key->public_key()) + "\n"));
  const std::string command =
      "cd " + dir.path() +
      " && ssh-keygen -Y verify -f signers -I agent -n culprit-snapshot -s m.sig "
      "< m > out 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  const std::string print =
      "cd " + dir.path() + " && sed 's/^agent //' signers > k.pub && ssh-keygen -lf k.pub > print";
  ASSERT_EQ(std::system(print.c_str()), 0);
  EXPECT_NE(ReadWholeFile(dir.path() + "/print", 4096)->find(SshFingerprint(key->public_key())),
            std::string::npos);
}

TEST(SshSignature, TheKeyIsKeptAndOnlyItsOwnerReadsIt) {
  const TempDir dir;
  const auto one = Ed25519Key::LoadOrMake(dir.path() + "/key"),
             two = Ed25519Key::LoadOrMake(dir.path() + "/key");
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->public_key(), two->public_key());
  struct stat st {};
  ASSERT_EQ(stat((dir.path() + "/key").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0600U);
}

TEST(SshSignature, OtherMessagesAndNameSpacesDoNotFit) {
  auto key = Ed25519Key::Make();
  ASSERT_TRUE(key);
  const auto text = key->Sign("one", "message");
  ASSERT_TRUE(text);
  auto signature = ParseSshSignature(*text);
  ASSERT_TRUE(signature);
  EXPECT_TRUE(SignatureFits(*signature, "message"));
  EXPECT_FALSE(SignatureFits(*signature, "massage"));
  signature->name_space = "two";
  EXPECT_FALSE(SignatureFits(*signature, "message"));
  for (std::size_t length = 0; length + 1 < text->size(); ++length)
    EXPECT_FALSE(ParseSshSignature(text->substr(0, length))) << length;
}

}  // namespace
}  // namespace culprit
