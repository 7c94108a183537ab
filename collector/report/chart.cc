// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "collector/report/outline.h"
#include "common/units.h"

namespace culprit::report {
namespace {

constexpr double kWidth = 720, kHeight = 200, kLeft = 76, kBottom = 24, kTop = 12;

}  // namespace

std::string ChartSvg(const Chart& chart) {
  if (chart.series.empty()) return "";
  std::uint64_t most = 1;
  for (const Bucket& bucket : chart.series)
    most = std::max({most, bucket.tx_bytes, bucket.rx_bytes});
  const double plot_width = kWidth - kLeft, plot_height = kHeight - kTop - kBottom;
  const double step = plot_width / static_cast<double>(chart.series.size());
  const double floor = kTop + plot_height;
  std::string svg =
      fmt::format(R"(<svg role="img" viewBox="0 0 {} {}" xmlns="http://www.w3.org/2000/svg">)"
                  "\n<title>Bytes sent and received over time</title>\n",
                  kWidth, kHeight);
  for (const double part : {0.0, 0.5, 1.0}) {
    const double y = floor - part * plot_height;
    const auto bytes = static_cast<std::uint64_t>(static_cast<double>(most) * part);
    svg += fmt::format(R"(<line class="axis" x1="{0}" y1="{1:.1f}" x2="{2}" y2="{1:.1f}"/>)"
                       R"(<text x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>)"
                       "\n",
                       kLeft, y, kWidth, kLeft - 6, y + 4, FormatByteSize(bytes));
  }
  double x = kLeft;
  for (const Bucket& bucket : chart.series) {
    const auto bar = [&](const char* kind, std::uint64_t bytes, double from, double width) {
      if (bytes == 0) return;
      const double height =
          std::max(1.0, static_cast<double>(bytes) / static_cast<double>(most) * plot_height);
      svg += fmt::format(
          R"(<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}: {} {}</title></rect>)"
          "\n",
          kind, from, floor - height, width, height, At(bucket.from_ns), FormatByteSize(bytes),
          kind);
    };
    bar("sent", bucket.tx_bytes, x + step * 0.08, step * 0.42);
    bar("received", bucket.rx_bytes, x + step * 0.5, step * 0.42);
    x += step;
  }
  svg +=
      fmt::format(R"(<text x="{}" y="{}">{}</text><text x="{}" y="{}" text-anchor="end">{}</text>)"
                  "\n</svg>\n",
                  kLeft, kHeight - 6, At(chart.series.front().from_ns), kWidth, kHeight - 6,
                  At(chart.series.back().to_ns));
  return svg;
}

}  // namespace culprit::report
