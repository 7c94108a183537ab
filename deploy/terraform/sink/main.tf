# SPDX-License-Identifier: Apache-2.0
# A bucket for hosts without a collector ([sink] in agent.toml), and the role of such a host. Best in another account than theirs: then also put the
# hosts' role into the bucket's policy. Object Lock is for new buckets; what is locked in mode COMPLIANCE is paid for until its time, whatever happens.
locals {
  bucket_policy = replace(file("${path.module}/../policies/sink-bucket.json"), "BUCKET", var.bucket)
  role_policy = replace(replace(replace(
    file("${path.module}/../policies/sink.json"),
    "BUCKET", var.bucket),
    "PREFIX", var.prefix),
  "MOST_DAYS", tostring(var.most_days))
}

resource "aws_s3_bucket" "evidence" {
  bucket              = var.bucket
  object_lock_enabled = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "evidence" {
  bucket = aws_s3_bucket.evidence.id
  versioning_configuration {
    status = "Enabled"
  }
}

# For what comes without a lock of its own.
resource "aws_s3_bucket_object_lock_configuration" "evidence" {
  bucket = aws_s3_bucket_versioning.evidence.bucket
  rule {
    default_retention {
      mode = "GOVERNANCE"
      days = var.default_days
    }
  }
}

resource "aws_s3_bucket_public_access_block" "evidence" {
  bucket                  = aws_s3_bucket.evidence.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "evidence" {
  bucket = aws_s3_bucket.evidence.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_policy" "evidence" {
  bucket = aws_s3_bucket.evidence.id
  policy = local.bucket_policy
}

# Put and lock, and nothing else: root on the host has it, too.
resource "aws_iam_role" "host" {
  name_prefix        = "culprit-sink-"
  assume_role_policy = file("${path.module}/../policies/ec2-trust.json")
}

resource "aws_iam_role_policy" "put" {
  name_prefix = "culprit-sink-"
  role        = aws_iam_role.host.id
  policy      = local.role_policy
}

resource "aws_iam_instance_profile" "host" {
  name_prefix = "culprit-sink-"
  role        = aws_iam_role.host.name
}
