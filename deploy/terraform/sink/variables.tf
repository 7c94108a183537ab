# SPDX-License-Identifier: Apache-2.0
variable "bucket" {
  description = "Name of the bucket that is made, for sink.bucket."
  type        = string
}

variable "prefix" {
  description = "As sink.prefix. Give each role its own, and no host can put objects among another's."
  type        = string
  default     = "culprit"
}

variable "default_days" {
  description = "How long the bucket locks what comes without a lock."
  type        = number
  default     = 90
}

variable "most_days" {
  description = "For how long a host may lock at most: at least sink.retention_days. Whoever takes a host over could else make you pay for a century."
  type        = number
  default     = 91
}
