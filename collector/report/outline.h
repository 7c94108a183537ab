// SPDX-License-Identifier: Apache-2.0
// The report without a form: sections of paragraphs, tables, lists, trees and one chart. Both forms
// are written from it, so that they say the same.
//
//   Incident --MakeOutline--> Outline --> WriteHtml, WriteMarkdown
//
// Stage: report, pure. Thread: values. Texts in an outline are raw; the forms escape all of them.
#ifndef CULPRIT_COLLECTOR_REPORT_OUTLINE_H_
#define CULPRIT_COLLECTOR_REPORT_OUTLINE_H_

#include <string>
#include <variant>
#include <vector>

#include "collector/report/incident.h"

namespace culprit::report {

struct Paragraph {
  std::string text;
};
struct Grid {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;  // as many cells as `head`
  std::vector<bool> numbers;                   // columns that are set to the right
};
struct Items {
  std::vector<std::string> items;
  bool numbered = false;
};
struct Tree {  // a line each, the deeper the further in
  struct Node {
    unsigned depth = 0;
    std::string text;
    bool marked = false;
  };
  std::vector<Node> nodes;
};
struct Chart {
  std::vector<Bucket> series;
};
struct Verbatim {
  std::string text;
};
using Block = std::variant<Paragraph, Grid, Items, Tree, Chart, Verbatim>;

struct Section {
  std::string title;
  std::vector<Block> blocks;
};

struct Outline {
  std::string title, subtitle;
  std::vector<Section> sections;
};

Outline MakeOutline(const Incident& incident);
// One file that needs no other: no script, nothing from elsewhere, light and dark.
std::string WriteHtml(const Outline& outline);
// For a ticket or a pager: what a host says can make no link, image or table there.
std::string WriteMarkdown(const Outline& outline);
// STIX 2.1 indicators, one JSON document. Programs of the system itself are none.
std::string IndicatorsJson(const Incident& incident);

// Parts of MakeOutline, one a subject.
Section TimelineSection(const Incident& incident);
Section WayInSection(const Incident& incident);
Section ChangedSection(const Incident& incident);
Section IndicatorSection(const Incident& incident);
Section ProofSection(const Incident& incident);
Section StepsSection(const Incident& incident);
// An SVG of bars for what was sent, with its axes.
std::string ChartSvg(const Chart& chart);

// "2026-03-01T02:03:04.000Z"; "-" for 0.
std::string At(std::int64_t ns);
std::string CommandLine(const v1::ProcessInfo& process);
std::string LoginWords(const v1::LoginRow& login);

}  // namespace culprit::report

#endif  // CULPRIT_COLLECTOR_REPORT_OUTLINE_H_
