# SPDX-License-Identifier: Apache-2.0
variable "name" {
  description = "Name of the host, in tags and of what belongs to it."
  type        = string
}

variable "ami_id" {
  description = "Debian 12, Ubuntu 22.04 or later, or Amazon Linux 2023, x86-64."
  type        = string
}

variable "instance_type" {
  type    = string
  default = "t3.nano"
}

variable "subnet_id" {
  type = string
}

variable "vpc_id" {
  type = string
}

variable "collector" {
  description = "Where the collector listens: HOST:PORT, by which its certificate knows it."
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+:[0-9]+$", var.collector))
    error_message = "collector is HOST:PORT."
  }
}

variable "collector_cidr" {
  description = "The collector's address as a CIDR, in its own VPC or account: the one place that evidence may go to."
  type        = string
}

variable "package_cidr" {
  description = "From where the package and the credentials are fetched by HTTPS at the first boot."
  type        = string
  default     = "0.0.0.0/0"
}

variable "package_url" {
  type = string
}

variable "package_sha256" {
  description = "Of the package, as SHA256SUMS has it."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.package_sha256))
    error_message = "package_sha256 is 64 hexadecimal digits."
  }
}

variable "ca_sha256" {
  description = "Fingerprint of the collector's certificate authority, as install.sh collector shows it."
  type        = string
}

variable "credentials_url" {
  description = "Empty: the host enrols by its identity document (enrol.aws_accounts of the collector). Else the presigned address of this one host's credentials, good for minutes; it is in the state and in user-data."
  type        = string
  default     = ""
  sensitive   = true
}

variable "autoscaling_group_name" {
  description = "A group whose hosts shall wait before they end, so that a snapshot can be taken; null for none."
  type        = string
  default     = null
}

variable "lifecycle_wait_seconds" {
  description = "How long an ending host of the group waits. After that it ends, whatever was saved."
  type        = number
  default     = 900
}
