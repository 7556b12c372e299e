// One of a few, side by side.
interface Choice<T extends string> {
  value: T;
  text: string;
}

export function Segments<T extends string>({ label, choices, value, choose }: {
  label: string;
  choices: Choice<T>[];
  value: T;
  choose: (value: T) => void;
}) {
  return (
    <div class="segments" role="group" aria-label={label}>
      {choices.map((one) => (
        <button type="button" key={one.value} aria-pressed={one.value === value} onClick={() => choose(one.value)}>
          {one.text}
        </button>
      ))}
    </div>
  );
}
