# SPDX-License-Identifier: Apache-2.0
# One host with Culprit's agent. The collector is elsewhere on purpose (collector/): whoever takes over this account or this VPC must not reach
# the evidence.
locals {
  collector_port = tonumber(split(":", var.collector)[1])
  user_data = replace(replace(replace(replace(replace(
    file("${path.module}/../user-data.sh"),
    "PACKAGE_URL=''", "PACKAGE_URL='${var.package_url}'"),
    "PACKAGE_SHA256=''", "PACKAGE_SHA256='${var.package_sha256}'"),
    "COLLECTOR=''", "COLLECTOR='${var.collector}'"),
    "CA_SHA256=''", "CA_SHA256='${var.ca_sha256}'"),
    "CREDENTIALS_URL=''", "CREDENTIALS_URL='${var.credentials_url}'")
}

# Egress only: the agent listens nowhere. A security group does not filter the metadata service and Amazon's DNS, which need no rule.
resource "aws_security_group" "agent" {
  name_prefix = "${var.name}-culprit-agent-"
  description = "Culprit agent: out to its collector, nothing in"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-culprit-agent" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "collector" {
  security_group_id = aws_security_group.agent.id
  description       = "Evidence, and the port above it, where hosts enrol"
  cidr_ipv4         = var.collector_cidr
  ip_protocol       = "tcp"
  from_port         = local.collector_port
  to_port           = local.collector_port + 1
}

resource "aws_vpc_security_group_egress_rule" "package" {
  security_group_id = aws_security_group.agent.id
  description       = "Package and credentials, at the first boot"
  cidr_ipv4         = var.package_cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# The host's role may do nothing: root on the host has it, too. The boundary holds even if somebody attaches more.
resource "aws_iam_policy" "boundary" {
  name_prefix = "${var.name}-culprit-boundary-"
  description = "What a watched host must never be able to do, whatever else is attached"
  policy      = file("${path.module}/policies/host-boundary.json")
}

resource "aws_iam_role" "host" {
  name_prefix          = "${var.name}-culprit-"
  assume_role_policy   = file("${path.module}/policies/ec2-trust.json")
  permissions_boundary = aws_iam_policy.boundary.arn
}

resource "aws_iam_instance_profile" "host" {
  name_prefix = "${var.name}-culprit-"
  role        = aws_iam_role.host.name
}

resource "aws_instance" "host" {
  ami                                  = var.ami_id
  instance_type                        = var.instance_type
  subnet_id                            = var.subnet_id
  vpc_security_group_ids               = [aws_security_group.agent.id]
  iam_instance_profile                 = aws_iam_instance_profile.host.name
  user_data                            = local.user_data
  user_data_replace_on_change          = false
  disable_api_termination              = true
  instance_initiated_shutdown_behavior = "stop"

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted             = true
    delete_on_termination = false
  }

  tags = { Name = var.name, culprit = "watched" }

  lifecycle {
    # The address of the credentials changes with every plan and is used once.
    ignore_changes = [user_data]
  }
}

# An ending host of a group waits, so that a snapshot can leave it; who has verified one completes the action (policies/responder.json).
resource "aws_autoscaling_lifecycle_hook" "before_the_end" {
  count                  = var.autoscaling_group_name == null ? 0 : 1
  name                   = "culprit-snapshot"
  autoscaling_group_name = var.autoscaling_group_name
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  heartbeat_timeout      = var.lifecycle_wait_seconds
  default_result         = "CONTINUE"
}
