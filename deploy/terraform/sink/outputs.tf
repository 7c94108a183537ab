# SPDX-License-Identifier: Apache-2.0
output "instance_profile" {
  description = "For the instance that runs the agent."
  value       = aws_iam_instance_profile.host.name
}
