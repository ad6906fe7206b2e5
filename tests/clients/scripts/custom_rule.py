"""A rule of a person's own, written for the original library."""

from smdebug.rules import Rule


class LossBelow(Rule):
    def __init__(self, base_trial, threshold=0.5):
        super().__init__(base_trial, action_str="")
        self.threshold = float(threshold)

    def set_required_tensors(self, step):
        for name in self.base_trial.tensor_names(collection="losses"):
            self.req_tensors.add(name, steps=[step])

    def invoke_at_step(self, step):
        for tensor in self.req_tensors.get():
            if tensor.value(step) < self.threshold:
                self.logger.info(f"{tensor.name} is below {self.threshold} at step {step}")
                return True
        return False
