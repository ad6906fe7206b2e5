from clary.rules import Rule


class LossOver(Rule):
    def judge(self, window):
        return []
