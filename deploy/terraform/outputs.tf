# SPDX-License-Identifier: Apache-2.0
output "instance_id" {
  description = "What `culprit hosts` shows the host as."
  value       = aws_instance.host.id
}

output "security_group_id" {
  description = "For a rule of the host's own service."
  value       = aws_security_group.agent.id
}
