// SPDX-License-Identifier: Apache-2.0
// A mutex that clang's -Wthread-safety understands, its scoped lock, and a condition variable.
// Stage: common. CULPRIT_GUARDED_BY(mutex_) on a member makes an access without the lock a compile
// error under clang.
#ifndef CULPRIT_COMMON_MUTEX_H_
#define CULPRIT_COMMON_MUTEX_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define CULPRIT_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define CULPRIT_THREAD_ANNOTATION(x)
#endif
#define CULPRIT_GUARDED_BY(x) CULPRIT_THREAD_ANNOTATION(guarded_by(x))
#define CULPRIT_REQUIRES(...) CULPRIT_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define CULPRIT_EXCLUDES(...) CULPRIT_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))

namespace culprit {

class CULPRIT_THREAD_ANNOTATION(capability("mutex")) Mutex {
 public:
  void Lock() CULPRIT_THREAD_ANNOTATION(acquire_capability()) { mutex_.lock(); }
  void Unlock() CULPRIT_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class CULPRIT_THREAD_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) CULPRIT_THREAD_ANNOTATION(acquire_capability(mutex))
      : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() CULPRIT_THREAD_ANNOTATION(release_capability()) { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* mutex_;
};

// The caller holds the mutex and tests its condition in a loop: wake-ups may be spurious.
class CondVar {
 public:
  void Wait(Mutex* mutex) CULPRIT_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False once `deadline` has passed.
  bool WaitUntil(Mutex* mutex, std::chrono::steady_clock::time_point deadline)
      CULPRIT_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    const auto status = condition_.wait_until(lock, deadline);
    lock.release();
    return status == std::cv_status::no_timeout;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_MUTEX_H_
