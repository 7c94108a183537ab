# SPDX-License-Identifier: Apache-2.0
# The machine of a collector, to be applied with the credentials of another account than the watched hosts'. The packages are put on it by hand
# (README.md of the project): its certificate authority is made there, and does not belong into user-data or a state file.
resource "aws_security_group" "collector" {
  name_prefix = "culprit-collector-"
  description = "Culprit collector: agents and operators, mutual TLS; the port above for hosts that enrol"
  vpc_id      = var.vpc_id
  tags        = { Name = "culprit-collector" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "evidence" {
  for_each          = toset(concat(var.agent_cidrs, var.operator_cidrs))
  security_group_id = aws_security_group.collector.id
  description       = "Agents and operators"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 7443
  to_port           = 7443
}

resource "aws_vpc_security_group_ingress_rule" "enrolment" {
  for_each          = toset(var.agent_cidrs)
  security_group_id = aws_security_group.collector.id
  description       = "Hosts that enrol"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 7444
  to_port           = 7444
}

resource "aws_instance" "collector" {
  ami                                  = var.ami_id
  instance_type                        = var.instance_type
  subnet_id                            = var.subnet_id
  vpc_security_group_ids               = [aws_security_group.collector.id]
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
    volume_size           = var.volume_gib
    volume_type           = "gp3"
  }

  tags = { Name = "culprit-collector" }
}
