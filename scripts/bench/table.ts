/**
 * What a scenario is made of, and what becomes of its measurements.
 *
 * @module
 */

/** Measurements of one run, by the keys of the columns; `undefined` where a system can't tell. */
export type Sample = Readonly<Record<string, number | undefined>>;

/** One kind of measurement. */
export interface Column {
  /** Its name in a {@linkcode Sample}. */
  readonly key: string;
  /** Its name in the table, with the unit. */
  readonly title: string;
  /** How many digits follow the decimal point. Default: 0. */
  readonly digits?: number;
}

/** One program, or pair of programs, that is measured. */
export interface Row {
  /** What the table calls it. */
  readonly name: string;
  /** Why it can't be measured here. */
  readonly missing?: string | undefined;
  /** Runs it once. */
  readonly measure: () => Promise<Sample>;
}

/** Rows that are measured in turn. */
export interface Table {
  /** What is measured. */
  readonly title: string;
  /** What each row gives. */
  readonly columns: readonly Column[];
  /** The first one is what the others are compared with. */
  readonly rows: readonly Row[];
  /** By what they are compared, and whether more of it is better. */
  readonly compare?: { readonly key: string; readonly better: "more" | "less" };
  /** How many rounds, if not as many as the command line says. */
  readonly rounds?: number;
}

/** Several numbers in short. */
export interface Summary {
  /** The one in the middle. */
  readonly median: number;
  /** The least. */
  readonly min: number;
  /** The greatest. */
  readonly max: number;
}

/** What came of a row. */
export interface RowResult {
  /** {@linkcode Row.name}. */
  readonly name: string;
  /** {@linkcode Row.missing}. */
  readonly missing?: string | undefined;
  /** One for each round. */
  readonly samples: readonly Sample[];
  /** By the keys of the columns. */
  readonly summary: Readonly<Record<string, Summary | undefined>>;
  /** How many times as good the first row is: in each round, in short. */
  readonly ratio?: Summary | undefined;
}

/** What came of a table. */
export interface TableResult {
  /** {@linkcode Table.title}. */
  readonly title: string;
  /** {@linkcode Table.columns}. */
  readonly columns: readonly Column[];
  /** {@linkcode Table.compare}. */
  readonly compare: Table["compare"];
  /** In the order of {@linkcode Table.rows}. */
  readonly rows: readonly RowResult[];
}

/**
 * Measures the rows in turn, in another order each round, so that what else
 * the machine does, and its heat, falls on all alike.
 */
export async function runTable(
  { title, columns, rows, compare, ...table }: Table,
  rounds: number,
  onRun: (round: number, row: string) => void,
): Promise<TableResult> {
  const samples = new Map<Row, Sample[]>(rows.map((row) => [row, []]));
  for (let round = 0; round < (table.rounds ?? rounds); round++) {
    for (const row of inOrderOf(round, rows)) {
      if (row.missing !== undefined) continue;
      onRun(round + 1, row.name);
      samples.get(row)!.push(await row.measure());
    }
  }
  const firsts = samples.get(rows[0]!)!;
  return {
    title,
    columns,
    compare,
    rows: rows.map((row) => {
      const own = samples.get(row)!;
      return {
        name: row.name,
        missing: row.missing,
        samples: own,
        summary: Object.fromEntries(
          columns.map(({ key }) => [key, summaryOf(own.map((sample) => sample[key]))]),
        ),
        ratio: compare && summaryOf(own.map((sample, round) => {
          const [first, value] = [firsts[round]?.[compare.key], sample[compare.key]];
          if (first === undefined || value === undefined) return undefined;
          return compare.better === "more" ? first / value : value / first;
        })),
      };
    }),
  };
}

/** The order of a round: it begins one further each time. */
function inOrderOf<T>(round: number, rows: readonly T[]): T[] {
  const start = round % rows.length;
  return [...rows.slice(start), ...rows.slice(0, start)];
}

function summaryOf(values: readonly (number | undefined)[]): Summary | undefined {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}
