//! A plot as SVG: figures against connections, both axes from what there is, that of connections in doublings.

use std::fmt::Write as _;

pub struct Series {
    pub name: String,
    /// Connections and figure.
    pub points: Vec<(usize, f64)>,
}

pub struct Plot {
    pub title: &'static str,
    pub series: Vec<Series>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const STEPS: u32 = 5;
const COLOURS: [&str; 4] = ["#1f5fa8", "#8fb8de", "#b3541e", "#e8b48f"];

impl Plot {
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{}</text>\n",
            self.title
        );
        self.draw_axes(&mut svg);
        for (nth, series) in self.series.iter().enumerate() {
            self.draw_series(&mut svg, nth, series);
        }
        svg + "</svg>\n"
    }

    fn points(&self) -> impl Iterator<Item = &(usize, f64)> {
        self.series.iter().flat_map(|series| &series.points)
    }

    /// The largest figure, rounded up to a round one.
    fn top(&self) -> f64 {
        let most = self.points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
        let unit = 10_f64.powf(most.log10().floor());
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|times| times * unit).find(|top| *top >= most).unwrap_or(most)
    }

    fn x(&self, connections: usize) -> f64 {
        let most = self.points().map(|point| point.0).max().unwrap_or(2).max(2);
        LEFT + (connections.max(1) as f64).log2() / (most as f64).log2() * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, figure: f64) -> f64 {
        HEIGHT - BOTTOM - figure / self.top() * (HEIGHT - TOP - BOTTOM)
    }

    fn draw_axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for step in 0..=STEPS {
            let figure = self.top() * f64::from(step) / f64::from(STEPS);
            let (y, before) = (self.y(figure), LEFT - 8.0);
            let _ = writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>");
            let _ = writeln!(svg, "<text x=\"{before}\" y=\"{:.1}\" text-anchor=\"end\">{figure}</text>", y + 4.0);
        }
        let connections: std::collections::BTreeSet<usize> = self.points().map(|point| point.0).collect();
        for connections in connections {
            let (x, below) = (self.x(connections), bottom + 18.0);
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{below}\" text-anchor=\"middle\">{connections}</text>");
        }
        let (middle, below) = (f64::midpoint(LEFT, right), bottom + 38.0);
        let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">connections</text>");
    }

    fn draw_series(&self, svg: &mut String, nth: usize, series: &Series) {
        let colour = COLOURS[nth % COLOURS.len()];
        let points =
            series.points.iter().map(|&(connections, figure)| format!("{:.1},{:.1}", self.x(connections), self.y(figure)));
        let line = points.clone().collect::<Vec<_>>().join(" ");
        let _ = writeln!(svg, "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        for point in points {
            let (x, y) = point.split_once(',').unwrap_or_default();
            let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>");
        }
        let (x, y) = (WIDTH - RIGHT + 14.0, TOP + 20.0 * (nth as f64 + 1.0));
        let (text, line) = (x + 26.0, y - 4.0);
        let _ = writeln!(svg, "<path d=\"M{x} {line}h20\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        let _ = writeln!(svg, "<text x=\"{text}\" y=\"{y}\">{}</text>", series.name);
    }
}
