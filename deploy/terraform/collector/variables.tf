# SPDX-License-Identifier: Apache-2.0
variable "ami_id" {
  description = "Debian 12 or Ubuntu 22.04 or later, x86-64."
  type        = string
}

variable "instance_type" {
  type    = string
  default = "t3.small"
}

variable "subnet_id" {
  type = string
}

variable "vpc_id" {
  description = "A VPC that no watched host is in, best of another account."
  type        = string
}

variable "agent_cidrs" {
  description = "From where agents come, as the collector sees them (the addresses of their NAT, or of a peered VPC)."
  type        = list(string)
}

variable "operator_cidrs" {
  description = "From where operators ask. They come to the same port, with certificates of their own."
  type        = list(string)
  default     = []
}

variable "volume_gib" {
  description = "For the journal: some 25 bytes a connection, and as much again for the index."
  type        = number
  default     = 100
}
