# SPDX-License-Identifier: Apache-2.0
output "address" {
  description = "For `install.sh collector --name` and for the agents' collector_cidr."
  value       = aws_instance.collector.private_ip
}
