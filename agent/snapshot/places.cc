// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/places.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "agent/snapshot/redact.h"
#include "common/hex.h"

namespace culprit {
namespace {

// What is looked through for secrets before it is copied; larger files go as they are, unless they
// are logs or binaries.
constexpr std::size_t kReadWhole = std::size_t{10} << 20;
constexpr std::size_t kPasswd = std::size_t{1} << 20;
constexpr std::size_t kMaxHomes = 1'000;

const char* KindOf(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "directory";
  if (S_ISLNK(mode)) return "link";
  if (S_ISFIFO(mode)) return "fifo";
  if (S_ISSOCK(mode)) return "socket";
  return "device";
}

bool IsText(std::string_view bytes) {
  return bytes.substr(0, 8192).find('\0') == std::string_view::npos;
}

bool IsShadow(std::string_view path) {
  return path == "/etc/shadow" || path == "/etc/gshadow" || path == "/etc/shadow-" ||
         path == "/etc/gshadow-" || path == "/etc/security/opasswd";
}

class Walker {
 public:
  Walker(Evidence& evidence, const HostFiles& host) : evidence_(evidence), host_(host) {}

  void Walk(const Place& place, const std::string& path, unsigned depth) {
    if (evidence_.Over()) {
      if (!std::exchange(told_, true))
        evidence_.Skip(path + " and later", "time or bytes of the tier are used up");
      return;
    }
    evidence_.At(path);
    auto entry = host_.Look(path);
    if (!entry) {
      if (entry.error().code != Code::kNotFound) evidence_.Skip(path, entry.error().message);
      return;
    }
    if (!seen_.emplace(entry->facts.device, entry->facts.inode, path).second) return;
    if (++entries_ > evidence_.limits().entries) {
      if (entries_ == evidence_.limits().entries + 1)
        evidence_.Skip(path + " and later", "more entries than the limit");
      return;
    }
    Row row;
    row["path"] = RowText(path);
    row["kind"] = KindOf(entry->mode);
    if (S_ISREG(entry->mode)) {
      Copy(place, path, &row);
    } else {
      Facts(entry->facts, &row);
      if (S_ISLNK(entry->mode)) row["link"] = RowText(entry->link);
    }
    evidence_.Add("files", row);
    if (depth == place.depth) device_ = entry->facts.device;
    if (!S_ISDIR(entry->mode)) return;
    // What is mounted below a place is another place, or none: procfs in a container's tree.
    if (entry->facts.device == device_)
      Below(place, path, depth);
    else
      evidence_.Skip(path, "another file system is mounted there");
  }

 private:
  static void Facts(const FileFacts& facts, Row* row) {
    (*row)["mode"] = facts.mode;
    (*row)["uid"] = facts.uid;
    (*row)["gid"] = facts.gid;
    (*row)["size"] = facts.size;
    (*row)["inode"] = facts.inode;
    (*row)["mtime_ns"] = facts.mtime_ns;
    (*row)["ctime_ns"] = facts.ctime_ns;
    (*row)["btime_ns"] = facts.btime_ns;
    if (!facts.attributes.empty()) (*row)["attributes"] = facts.attributes;
  }

  void Below(const Place& place, const std::string& path, unsigned depth) {
    if (depth == 0) {
      evidence_.Skip(path, "deeper than the limit");
      return;
    }
    bool cut = false;
    const auto names = host_.List(path, evidence_.limits().directory_entries, &cut);
    if (!names) {
      evidence_.Skip(path, names.error().message);
      return;
    }
    if (cut) evidence_.Skip(path, "more entries than the limit of a directory");
    for (const std::string& name : *names)
      Walk(place, (path == "/" ? "" : path) + "/" + name, depth - 1);
  }

  void Copy(const Place& place, const std::string& path, Row* row) {
    FileEntry entry;
    const auto fd = host_.OpenRegular(path, &entry);
    Facts(entry.facts, row);
    if (!fd) {
      (*row)["not_copied"] = fd.error().message;
      evidence_.Skip(path, fd.error().message);
      return;
    }
    if (!place.copy) {
      (*row)["not_copied"] = "of this place names and times are kept";
      return;
    }
    const std::uint64_t limit =
        place.log ? evidence_.limits().log_bytes : evidence_.limits().file_bytes;
    OpenedFile file;
    file.fd = fd->get();
    file.name = MemberNameOf(path);
    file.source = path;
    file.facts = entry.facts;
    file.limit = limit;
    (*row)["copy"] = file.name;
    if (!place.log && entry.facts.size <= kReadWhole && Whole(path, file, row)) return;
    evidence_.AddFile(std::move(file));
  }

  // A file that is small enough to be looked through. False: it is to be copied as it is.
  bool Whole(const std::string& path, const OpenedFile& file, Row* row) {
    auto bytes = ReadBounded(file.fd, kReadWhole);
    if (!bytes) {
      (*row)["not_copied"] = bytes.error().message;
      evidence_.Skip(path, bytes.error().message);
      return true;
    }
    if (HoldsPrivateKey(*bytes)) {
      row->erase("copy");
      (*row)["not_copied"] = "a private key";
      evidence_.Skip(path, "holds a private key: never copied");
      return true;
    }
    BundleMember member;
    member.name = file.name;
    member.source = path;
    member.file = file.facts;
    if (bytes->size() != file.facts.size) {
      member.notes.push_back("it changed while it was read: " + std::to_string(file.facts.size) +
                             " bytes before, " + std::to_string(bytes->size()) + " read");
    }
    Redacted redacted = IsShadow(path)   ? RedactShadow(*bytes)
                        : IsText(*bytes) ? RedactSecrets(*bytes)
                                         : Redacted{};
    if (redacted.places > 0) {
      member.notes.push_back("redacted in " + std::to_string(redacted.places) +
                             " places; SHA-256 of the original " +
                             HexEncode(AsBytes(Sha256Of(*bytes))));
      // Of the short text behind a known method a hash could be guessed back.
      if (IsShadow(path))
        member.notes.back() = "redacted in " + std::to_string(redacted.places) + " places";
      *bytes = std::move(redacted.text);
    }
    evidence_.AddBytes(std::move(member), *bytes);
    return true;
  }

  Evidence& evidence_;
  const HostFiles& host_;
  std::set<std::tuple<std::uint64_t, std::uint64_t, std::string>> seen_;
  std::size_t entries_ = 0;
  std::uint64_t device_ = 0;
  bool told_ = false;
};

}  // namespace

std::vector<Place> VolatilePlaces() {
  std::vector<Place> places;
  for (const char* path : {"/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d"})
    places.push_back({path, false, false, 2, true});
  for (const char* path :
       {"/var/log/auth.log", "/var/log/auth.log.1", "/var/log/secure", "/var/log/audit",
        "/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog", "/var/log/syslog",
        "/var/log/messages", "/var/log/kern.log", "/var/log/cron", "/var/log/cloud-init.log",
        "/var/log/cloud-init-output.log", "/var/log/amazon/ssm", "/var/log/apt/history.log",
        "/var/log/dpkg.log", "/var/log/dnf.log", "/var/log/journal", "/run/log/journal"})
    places.push_back({path, true, false, 3, true});
  // Last, since anybody can fill them.
  for (const char* path : {"/dev/shm", "/tmp", "/var/tmp", "/run/shm"})
    places.push_back({path, false, false, 6, true});
  return places;
}

std::vector<Place> PersistentPlaces() {
  std::vector<Place> places;
  for (const char* path :
       {"/etc", "/var/spool/cron", "/var/spool/at", "/var/spool/anacron", "/usr/local/bin",
        "/usr/local/sbin", "/usr/local/lib/systemd", "/run/systemd/system",
        "/run/systemd/generator", "/run/systemd/transient", "/run/cron", "/lib/udev/rules.d",
        "/usr/lib/udev/rules.d", "/usr/local/etc", "/opt/aws/amazon-cloudwatch-agent/etc",
        "/var/lib/cloud/instance", "/var/lib/cloud/scripts", "/var/lib/cloud/data"})
    places.push_back({path, false, false, 8, true});
  for (const char* path : {".ssh",
                           ".bashrc",
                           ".bash_profile",
                           ".bash_login",
                           ".bash_logout",
                           ".bash_history",
                           ".profile",
                           ".zshrc",
                           ".zsh_history",
                           ".zprofile",
                           ".python_history",
                           ".mysql_history",
                           ".viminfo",
                           ".lesshst",
                           ".wget-hsts",
                           ".config/systemd",
                           ".config/autostart",
                           ".config/environment.d",
                           ".pam_environment",
                           ".forward"})
    places.push_back({path, false, true, 6, true});
  for (const char* path :
       {"/usr/lib/systemd/system-generators", "/lib/systemd/system-generators", "/lib/security",
        "/usr/lib/security", "/boot", "/var/lib/docker/containers"})
    places.push_back({path, false, false, 2, false});
  return places;
}

void CollectPlaces(Evidence& evidence, const HostFiles& host, const std::vector<Place>& places,
                   const std::vector<std::string>& homes) {
  Walker walker(evidence, host);
  for (const Place& place : places) {
    if (!place.homes) {
      walker.Walk(place, place.path, place.depth);
      continue;
    }
    for (const std::string& home : homes)
      walker.Walk(place, (home == "/" ? "" : home) + "/" + place.path, place.depth);
  }
}

std::vector<std::string> HomeDirectories(const HostFiles& host) {
  std::vector<std::string> homes = {"/root"};
  std::istringstream lines(host.Read("/etc/passwd", kPasswd).value_or(""));
  for (std::string line; std::getline(lines, line) && homes.size() < kMaxHomes;) {
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 6 && std::getline(fields, field, ':'); ++i) continue;
    while (field.size() > 1 && field.ends_with('/')) field.pop_back();
    const bool usable = field.starts_with('/') && field != "/" && !field.starts_with("/proc") &&
                        !field.starts_with("/sys");
    if (usable && std::find(homes.begin(), homes.end(), field) == homes.end())
      homes.push_back(field);
  }
  return homes;
}

}  // namespace culprit
